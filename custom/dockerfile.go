package custom

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// BaseStage is the stage of base.Dockerfile that becomes the image base (A3, A7).
const BaseStage = "base"

var (
	dockerFrom    = regexp.MustCompile(`(?i)^FROM((?:\s+--\S+)*)\s+(\S+)(?:\s+AS\s+(\S+))?\s*$`)
	dockerStage   = regexp.MustCompile(`^[a-z][a-z0-9-_.]*$`)
	dockerHeredoc = regexp.MustCompile(`<<-?\s*(["']?)([A-Za-z_][A-Za-z0-9_]*)(["']?)`)
	dockerEscape  = regexp.MustCompile("(?i)^#\\s*escape\\s*=\\s*([\\\\`])\\s*$")
	dockerSyntax  = regexp.MustCompile(`(?i)^#\s*syntax\s*=`)
)

// dockerWords is every instruction of the Dockerfile reference.
func dockerWords() []string {
	return []string{
		"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
		"MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
	}
}

// readDockerfile looks at base.Dockerfile as far as the build must know before it
// starts: which images it stands on, at which lines, and that there is a stage
// called base. The builder's own parser has the last word.
func (r *reader) readDockerfile() {
	data, ok := r.text(BaseDockerfile, MaxText)
	if data == nil || !ok {
		return
	}
	r.f.dockerfile = data
	for _, in := range r.instructions(string(data)) {
		r.instruction(in)
	}
	stages := r.f.stages
	switch {
	case len(stages) == 0:
		r.error("dockerfile-no-base", BaseDockerfile, 0, BaseDockerfile+" has no FROM line", "begin it with a line such as: FROM debian:trixie AS base")
	case !slices.ContainsFunc(stages, func(s Stage) bool { return s.Name == BaseStage }):
		last := stages[len(stages)-1]
		r.error("dockerfile-no-base", BaseDockerfile, last.Line, BaseDockerfile+" has no stage called base",
			fmt.Sprintf("end line %d with: AS base", last.Line))
	}
}

// instruction is one logical line of a Dockerfile.
type instruction struct {
	text string
	line int // where it begins
}

// instructions joins continued lines and leaves out comments and here-documents.
func (r *reader) instructions(text string) []instruction {
	var out []instruction
	var cur instruction
	var until []string // ends of open here-documents
	escape, directives := `\`, true
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if len(until) > 0 {
			if strings.TrimLeft(line, "\t") == until[0] {
				until = until[1:]
			}
			continue
		}
		if strings.HasPrefix(trimmed, "#") {
			if m := dockerEscape.FindStringSubmatch(trimmed); directives && m != nil {
				escape = m[1]
			}
			if directives && dockerSyntax.MatchString(trimmed) {
				r.warn("dockerfile-syntax", BaseDockerfile, i+1, fmt.Sprintf("%s line %d asks for another reader of Dockerfiles", BaseDockerfile, i+1),
					"the line is not followed: the builder's own reader is used", "remove the line")
			}
			continue
		}
		if trimmed == "" {
			continue
		}
		directives = false
		if cur.text == "" {
			cur.line = i + 1
		}
		if rest, ok := strings.CutSuffix(trimmed, escape); ok {
			cur.text += rest + " "
			continue
		}
		cur.text += trimmed
		for _, m := range dockerHeredoc.FindAllStringSubmatch(cur.text, -1) {
			if word, _, _ := strings.Cut(strings.ToUpper(cur.text), " "); word == "RUN" || word == "COPY" || word == "ADD" {
				until = append(until, m[2])
			}
		}
		out, cur = append(out, cur), instruction{}
	}
	if strings.TrimSpace(cur.text) != "" {
		out = append(out, cur)
	}
	if len(until) > 0 {
		r.error("dockerfile-heredoc", BaseDockerfile, out[len(out)-1].line, fmt.Sprintf("%s line %d begins a text that should end with %s, and never does", BaseDockerfile, out[len(out)-1].line, short(until[0])),
			"add a line with "+short(until[0])+" alone")
	}
	return out
}

func (r *reader) instruction(in instruction) {
	word, _, _ := strings.Cut(strings.ReplaceAll(in.text, "\t", " "), " ")
	word = strings.ToUpper(word)
	switch {
	case !slices.Contains(dockerWords(), word):
		r.error("dockerfile-instruction", BaseDockerfile, in.line, fmt.Sprintf("%s line %d begins with %q, which is no instruction of a Dockerfile", BaseDockerfile, in.line, short(word)), "check the spelling, or end the line before it with \\")
	case word == "FROM":
		r.from(in)
	case len(r.f.stages) == 0 && word != "ARG":
		r.error("dockerfile-before-from", BaseDockerfile, in.line, fmt.Sprintf("%s line %d stands before the first FROM", BaseDockerfile, in.line), "move it below the FROM line")
	}
}

func (r *reader) from(in instruction) {
	m := dockerFrom.FindStringSubmatch(in.text)
	if m == nil {
		r.error("dockerfile-from", BaseDockerfile, in.line, fmt.Sprintf("%s line %d is no complete FROM line", BaseDockerfile, in.line), "write it as: FROM debian:trixie AS base")
		return
	}
	s := Stage{Image: m[2], Name: strings.ToLower(m[3]), Line: in.line}
	if s.Name != "" && !dockerStage.MatchString(s.Name) {
		r.error("dockerfile-from", BaseDockerfile, in.line, fmt.Sprintf("%s line %d: %q cannot be the name of a stage", BaseDockerfile, in.line, short(m[3])), "use letters and numbers, beginning with a letter")
		return
	}
	if i := slices.IndexFunc(r.f.stages, func(o Stage) bool { return s.Name != "" && o.Name == s.Name }); i >= 0 {
		r.error("dockerfile-from", BaseDockerfile, in.line, fmt.Sprintf("%s lines %d and %d both name a stage %s", BaseDockerfile, r.f.stages[i].Line, in.line, s.Name), "give one of them another name")
	}
	r.f.stages = append(r.f.stages, s)
}
