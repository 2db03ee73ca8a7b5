package custom

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/conjuring/conjured/notice"
	"go.yaml.in/yaml/v4"
	"golang.org/x/sys/unix"
)

// Limits inside the override that keep its expansion small.
const (
	maxScalar   = 8 << 10 // bytes of one value
	maxEnvValue = 1 << 10 // bytes of one value in .env
	maxPorts    = 64      // ports of one range
	maxEnvNames = 200     // names in .env
)

// EnvFile holds the values for ${NAME} in the override. The machine's own
// environment never does.
const EnvFile = ".env"

// readOverride merges docker-compose.override.yml over the class's compose file.
func (r *reader) readOverride() {
	r.f.conjuring = defaultService()
	file, data, ok := r.overrideBytes()
	if !ok {
		return
	}
	env, ok := r.readEnv()
	if group := env["GROUPS"]; group != "" {
		r.f.conjuring.BuildArgs["GROUP_ID"] = group // as compose.yaml says (A6)
	}
	if !ok || data == nil {
		return
	}
	o := override{reader: r, file: file, env: env}
	if o.root = r.yaml(file, data, MaxOverrideNodes); o.root == nil {
		return
	}
	data = o.withoutVersion(data)
	before := len(r.list)
	o.lint(o.root, nil)
	if refused(r.list[before:]) {
		rest, err := yaml.Marshal(o.root)
		if err != nil {
			return
		}
		data = rest
	}
	o.merge(data)
}

// exists looks at a name and opens nothing.
func exists(name string) bool {
	var st unix.Stat_t
	return unix.Lstat(name, &st) == nil
}

func refused(l notice.List) bool {
	return slices.ContainsFunc(l, func(n notice.Notice) bool { return n.Severity == notice.SeverityError })
}

// overrideBytes finds the override: in the folder, else beside it when the caller
// wants that and the folder is called custom. When the caller does not want it, the
// place beside is looked at by name only, and nothing is opened.
func (r *reader) overrideBytes() (file string, data []byte, ok bool) {
	if r.listed(OverrideYML) {
		data, ok = r.text(OverrideYML, MaxYAML)
		r.f.source.override = OverrideYML
		return OverrideYML, data, ok
	}
	abs, err := filepath.Abs(r.dir)
	if err != nil || filepath.Base(abs) != "custom" {
		return "", nil, true
	}
	beside := "../" + OverrideYML
	if !r.opt.OverrideBeside {
		if exists(filepath.Join(filepath.Dir(abs), OverrideYML)) {
			r.info("override-beside", beside, 0, OverrideYML+" lies beside the folder; it was not opened (A1)",
				"conjured up and apply read it there, as the old project did", "to have it checked too, copy it into the folder")
		}
		return "", nil, true
	}
	data, ok = r.besideBytes(filepath.Dir(abs), beside)
	if data == nil || !ok {
		return beside, nil, ok
	}
	r.f.source.override = beside
	r.kept[OverrideYML] = data
	data, ok = r.normalise(beside, data)
	return beside, data, ok
}

// besideBytes reads the one file outside the folder: that very name, no link.
func (r *reader) besideBytes(dir, name string) ([]byte, bool) {
	t, err := openTree(dir)
	if err != nil {
		return nil, true // the folder above may not be readable; then there is no override
	}
	defer t.Close()
	f, info, err := t.openFile(OverrideYML, unix.RESOLVE_NO_SYMLINKS)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, true
	case err != nil:
		r.cannotOpen(name, info, err)
		return nil, false
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(&cancelled{r.ctx, f}, MaxYAML+1))
	switch {
	case err != nil:
		r.cannotOpen(name, info, err)
		return nil, false
	case len(data) > MaxYAML:
		r.tooLarge(name, info.Size(), MaxYAML)
		return nil, false
	}
	return data, true
}

var envLine = regexp.MustCompile(`^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$`)

// readEnv reads .env: NAME=value, with or without quotes. Values are taken as they
// are: one value made of others could grow without end.
func (r *reader) readEnv() (map[string]string, bool) {
	data, ok := r.text(EnvFile, MaxYAML)
	if !ok {
		return nil, false
	}
	env, good := map[string]string{}, true
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		m := envLine.FindStringSubmatch(line)
		if m == nil || len(m[2]) > maxEnvValue || len(env) >= maxEnvNames {
			r.error("env-line", EnvFile, i+1, fmt.Sprintf("%s line %d is not NAME=value, or is too long, or one of more than %d", EnvFile, i+1, maxEnvNames), "write one short value on a line, such as: GROUPS=1000")
			good = false
			continue
		}
		v := m[2]
		if n := len(v); n >= 2 && (v[0] == '"' || v[0] == '\'') && v[n-1] == v[0] {
			v = v[1 : n-1]
		} else if at := strings.Index(v, " #"); at >= 0 {
			v = strings.TrimSpace(v[:at])
		}
		env[m[1]] = v
	}
	return env, good
}

// override is the loading of one override file.
type override struct {
	*reader

	file  string
	root  *yaml.Node
	env   map[string]string
	ports int // of all ranges so far
}

// lint walks the file itself, so that each problem has its line: what is not
// supported, what names other files, and what would grow on loading. It takes out
// what it refused and tells whether n itself may stay, so that the rest can be
// looked at too.
func (o *override) lint(n *yaml.Node, at []string) bool {
	if n.Tag == "!reset" {
		return true // it takes something away
	}
	switch n.Kind {
	case yaml.MappingNode:
		var keep []*yaml.Node
		for k, v := range pairs(n) {
			next := append(at[:len(at):len(at)], k.Value)
			if strings.HasPrefix(k.Value, "x-") || o.supportedKey(k, next) && o.lint(v, next) {
				keep = append(keep, k, v)
			}
		}
		n.Content = keep
	case yaml.SequenceNode:
		n.Content = slices.DeleteFunc(n.Content, func(v *yaml.Node) bool {
			return !o.lint(v, append(at[:len(at):len(at)], "[]"))
		})
	case yaml.ScalarNode:
		if n.Tag != "!!null" && !supportedLeaf(at) {
			o.refuse("override-unsupported", n.Line, strings.Join(at, ".")+" is not supported in this short form", "write it out, or remove it")
			return false
		}
		return o.scalar(n, at)
	}
	return true
}

func (o *override) supportedKey(k *yaml.Node, at []string) bool {
	if len(k.Value) > 200 || printable(k.Value) != k.Value {
		o.refuse("override-unsupported", k.Line, "has an impossible name: "+short(k.Value), "remove it")
		return false
	}
	if len(at) == 2 && at[0] == "services" && !serviceName.MatchString(k.Value) {
		o.refuse("override-unsupported", k.Line, fmt.Sprintf("%q cannot be the name of a service", short(k.Value)), "use small letters, numbers and dashes")
		return false
	}
	if supportedPath(at) {
		return true
	}
	where := strings.Join(at, ".")
	if why, ok := hostKeys()[k.Value]; ok && len(at) > 2 {
		o.refuse("override-host", k.Line, where+" "+why, "remove it; the machine's administrator can find other ways")
		return false
	}
	if why, ok := fileKeys()[k.Value]; ok {
		o.refuse("override-file", k.Line, where+" "+why, "write the values into "+OverrideYML+" itself")
		return false
	}
	do := "remove it"
	if near := nearKey(at); near != "" {
		do = "did you mean " + near + "? If not, remove it"
	}
	o.refuse("override-unsupported", k.Line, where+" is not supported", do)
	return false
}

func (o *override) refuse(code string, line int, what, do string) {
	o.error(code, o.file, line, fmt.Sprintf("%s line %d: %s", OverrideYML, line, what), do)
}

var (
	serviceName   = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	plainVariable = regexp.MustCompile(`\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)`)
	portRange     = regexp.MustCompile(`(\d{1,9})\s*-\s*(\d{1,9})`)
)

func (o *override) scalar(n *yaml.Node, at []string) bool {
	if len(n.Value) > maxScalar {
		o.refuse("override-unsupported", n.Line, fmt.Sprintf("%s has a value of %d bytes", strings.Join(at, "."), len(n.Value)), "make it shorter")
		return false
	}
	for _, m := range plainVariable.FindAllStringSubmatch(n.Value, -1) {
		if name := m[1] + m[2]; name != "" && o.env[name] == "" {
			o.warn("override-variable", o.file, n.Line, fmt.Sprintf("%s line %d: ${%s} has no value", OverrideYML, n.Line, short(name)),
				"nothing stands in its place: values of the machine's own environment are never used", "write "+short(name)+"=value into .env, beside users.csv")
		}
	}
	if slices.Contains(at, "ports") || slices.Contains(at, "expose") {
		v, _ := o.substitute(n.Value, o.lookup) // merge tells what is wrong with it
		for _, m := range portRange.FindAllStringSubmatch(v, -1) {
			a, _ := strconv.Atoi(m[1])
			b, _ := strconv.Atoi(m[2])
			if o.ports += b - a; b-a >= maxPorts || o.ports > 10*maxPorts {
				o.refuse("override-ports", n.Line, fmt.Sprintf("%s asks for %d ports at once", strings.Join(at, "."), b-a+1), fmt.Sprintf("ask for at most %d, and %d in the whole file", maxPorts, 10*maxPorts))
				return false
			}
		}
	}
	return true
}

// substitute puts values of .env where ${NAME} stands. It is compose's own, kept quiet.
func (o *override) substitute(s string, lookup template.Mapping) (string, error) {
	return template.SubstituteWithOptions(s, lookup, template.WithoutLogging)
}

func (o *override) lookup(name string) (string, bool) {
	v, ok := o.env[name]
	return v, ok
}

// line is the line of the deepest part of a path that the file has.
func (o *override) line(at ...string) int {
	n, line := o.root, 1
	for _, key := range at {
		found := false
		for k, v := range pairs(n) {
			if k.Value == key {
				n, line, found = v, k.Line, true
				break
			}
		}
		if !found {
			break
		}
	}
	return line
}

// lineOf is the line of the first value at a path that mentions text, else that of the path.
func (o *override) lineOf(text string, at ...string) int {
	n := o.root
	for _, key := range at {
		n = value(n, key)
	}
	if line := mention(n, text); line > 0 {
		return line
	}
	return o.line(at...)
}

func mention(n *yaml.Node, text string) int {
	if n == nil || text == "" {
		return 0
	}
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, text) {
		return n.Line
	}
	for _, c := range n.Content {
		if line := mention(c, text); line > 0 {
			return line
		}
	}
	return 0
}
