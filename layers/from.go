package layers

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/conjuring/conjured/notice"
)

// BaseFile is the name of the teacher's file that says what the base is.
const BaseFile = "base.Dockerfile"

// baseStage is the stage of that file which the old compose file asked for (A3).
const baseStage = "base"

// From is an image that base.Dockerfile starts from or copies from.
type From struct {
	Image string // with variables filled in
	Line  int    // 1-based
}

// baseFile is what we need to know of a base.Dockerfile.
type baseFile struct {
	target string // the stage to build
	froms  []From // images it needs, each once, in order of first use
}

// parseBase reads a base.Dockerfile. Only the stages that the target needs count: an
// image that nothing uses is not looked for.
func parseBase(text []byte) (baseFile, error) {
	res, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return baseFile{}, baseSyntax(err)
	}
	stages, args, err := instructions.Parse(res.AST, nil)
	if err != nil {
		return baseFile{}, baseSyntax(err)
	}
	if len(stages) == 0 {
		return baseFile{}, baseSyntax(errors.New("there is no FROM line"))
	}
	target := len(stages) - 1
	if i := stageIndex(stages, baseStage, len(stages)); i >= 0 {
		target = i
	}
	vars := defaults(args)
	var froms []From
	seen := map[string]bool{}
	for _, i := range needed(stages, target) {
		for _, f := range images(stages, i) {
			f.Image = fill(f.Image, vars)
			if f.Image != "scratch" && !seen[f.Image] {
				seen[f.Image] = true
				froms = append(froms, f)
			}
		}
	}
	name := stages[target].Name
	if name == "" {
		name = fmt.Sprint(target)
	}
	return baseFile{target: name, froms: froms}, nil
}

// stageIndex finds a stage by name or number among the first n.
func stageIndex(stages []instructions.Stage, name string, n int) int {
	for i := n - 1; i >= 0; i-- {
		if strings.EqualFold(stages[i].Name, name) || fmt.Sprint(i) == name {
			return i
		}
	}
	return -1
}

// needed gives the stages that target is made from, target included, in file order.
func needed(stages []instructions.Stage, target int) []int {
	want := map[int]bool{}
	var visit func(int)
	visit = func(i int) {
		if i < 0 || want[i] {
			return
		}
		want[i] = true
		visit(stageIndex(stages, stages[i].BaseName, i))
		for _, c := range stages[i].Commands {
			if cp, ok := c.(*instructions.CopyCommand); ok && cp.From != "" {
				visit(stageIndex(stages, cp.From, i))
			}
		}
	}
	visit(target)
	return slices.Sorted(maps.Keys(want))
}

// images gives what stage i takes from outside the file.
func images(stages []instructions.Stage, i int) []From {
	var out []From
	s := stages[i]
	line := 0
	if len(s.Location) > 0 {
		line = s.Location[0].Start.Line
	}
	if stageIndex(stages, s.BaseName, i) < 0 {
		out = append(out, From{Image: s.BaseName, Line: line})
	}
	for _, c := range s.Commands {
		cp, ok := c.(*instructions.CopyCommand)
		if ok && cp.From != "" && stageIndex(stages, cp.From, i) < 0 {
			out = append(out, From{Image: cp.From, Line: cp.Location()[0].Start.Line})
		}
	}
	return out
}

// defaults gives the values of the ARG lines above the first FROM.
func defaults(args []instructions.ArgCommand) map[string]string {
	vars := map[string]string{}
	for _, a := range args {
		for _, kv := range a.Args {
			if kv.Value != nil {
				vars[kv.Key] = fill(*kv.Value, vars)
			}
		}
	}
	return vars
}

// fill puts variables into an image name: $A, ${A}, ${A:-word}. Names of images have
// no other use for a dollar sign.
func fill(s string, vars map[string]string) string {
	var b strings.Builder
	for s != "" {
		before, rest, found := strings.Cut(s, "$")
		b.WriteString(before)
		if !found {
			break
		}
		var name, word string
		if inner, ok := strings.CutPrefix(rest, "{"); ok {
			inner, after, _ := strings.Cut(inner, "}")
			name, word, _ = strings.Cut(inner, ":-")
			s = after
		} else {
			n := strings.IndexFunc(rest, func(r rune) bool { return !isWord(r) })
			if n < 0 {
				n = len(rest)
			}
			name, s = rest[:n], rest[n:]
		}
		if v := vars[name]; v != "" {
			word = v
		}
		b.WriteString(word)
	}
	return b.String()
}

func isWord(r rune) bool {
	return r == '_' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
}

func baseSyntax(err error) error {
	n := &notice.Error{Notice: notice.Notice{
		Code: "base-dockerfile-syntax", Severity: notice.SeverityError, File: BaseFile,
		What:  "base.Dockerfile can't be read as a Dockerfile: " + plain(err),
		Means: "no new system was built; the class stays on the one it has",
		Do:    "correct that line, or take base.Dockerfile out of the folder to use the built-in Debian",
	}, Err: err}
	var at *parser.LocationError
	if errors.As(err, &at) && len(at.Locations) > 0 && len(at.Locations[0]) > 0 {
		n.Line = at.Locations[0][0].Start.Line
	}
	return n
}

// plain is the innermost words of an error, without what wrapped them.
func plain(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
