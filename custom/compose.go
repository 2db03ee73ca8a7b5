package custom

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

//go:embed compose.yaml
var composeYAML []byte

// Services of compose.yaml.
const (
	conjuringService = "conjuring"
	projectDir       = "/conjuring" // a name only: nothing there is opened
)

// defaultService is what compose.yaml says without an override: the same as
// loading it, which a test holds true, and half a second faster on a small PC.
func defaultService() Service {
	return Service{
		Name: conjuringService, Image: "conjuring/conjuring:latest", Hostname: "conjuring", Restart: "unless-stopped",
		BuildArgs: map[string]string{"GROUP_ID": "1000"},
		Mounts: []Mount{
			{Content: "home", Target: "/home"},
			{Content: HomeDefaultDir, Target: "/opt/home_default", ReadOnly: true},
			{Content: SharedDir, Target: "/shared", ReadOnly: true},
		},
		Ports: []Port{{HostPort: "8989", ContainerPort: 8000, Protocol: "tcp"}},
	}
}

// load merges and checks the files with compose's own rules. Everything that would
// read another file or the machine's environment is off.
func (o *override) load(ctx context.Context, files ...types.ConfigFile) (*types.Project, []string, error) {
	var unsupported []string
	details := types.ConfigDetails{WorkingDir: projectDir, ConfigFiles: files, Environment: types.Mapping{}}
	for k, v := range o.env {
		details.Environment[k] = v
	}
	project, err := loader.LoadWithContext(ctx, details,
		func(opts *loader.Options) {
			opts.SetProjectName("conjuring", true)
			opts.SkipInclude, opts.SkipExtends = true, true
			opts.SkipResolveEnvironment, opts.SkipResolveLabels = true, true
			opts.SkipNormalization, opts.ResolvePaths = true, false
			opts.SkipConsistencyCheck = true // convert has lines for what it would find
			opts.MaxNodeVisits = MaxYAMLNodes
			opts.Interpolate = &interpolation.Options{
				Substitute: o.substitute, LookupValue: o.lookup, TypeCastMapping: opts.Interpolate.TypeCastMapping,
			}
		},
		loader.WithSupportedAttributes(slices.Concat(supported(), ownAttributes()), func(found []loader.UnsupportedAttribute) {
			for _, u := range found {
				unsupported = append(unsupported, u.Path.String())
			}
		}))
	return project, unsupported, err
}

// merge loads the override over compose.yaml and converts what comes out.
func (o *override) merge(data []byte) {
	own := types.ConfigFile{Filename: "compose.yaml", Content: composeYAML}
	project, unsupported, err := o.load(o.ctx, own, types.ConfigFile{Filename: OverrideYML, Content: data})
	if err != nil {
		o.composeError(err)
		return
	}
	for _, path := range unsupported {
		o.refuse("override-unsupported", o.line(strings.Split(path, ".")...), path+" is not supported", "remove it")
	}
	if len(unsupported) > 0 {
		return
	}
	o.volumes(project)
	names := project.ServiceNames()
	if len(names) > MaxServices+3 {
		o.refuse("override-services", o.line("services"), fmt.Sprintf("adds more than %d services", MaxServices), "leave some out")
		return
	}
	var args map[string]string
	for _, name := range names {
		s := project.Services[name]
		c := convert{override: o, project: project, from: s, out: Service{Name: name}}
		c.service()
		switch name {
		case "base", "core":
			o.imageOnly(name)
		case conjuringService:
			o.f.conjuring = c.out
		default:
			if c.out.Image == "" {
				o.refuse("override-image", o.line("services", name), fmt.Sprintf("the service %s has no image", name), "add a line image: NAME, of an image that the machine has or can pull")
			}
			o.f.services = append(o.f.services, c.out)
		}
		if name != conjuringService && (name == "base" || name == "core") && len(c.out.BuildArgs) > 0 {
			if args == nil {
				args = map[string]string{}
			}
			for k, v := range c.out.BuildArgs {
				args[k] = v
			}
		}
	}
	for k, v := range args {
		if _, ok := o.f.conjuring.BuildArgs[k]; !ok {
			if o.f.conjuring.BuildArgs == nil {
				o.f.conjuring.BuildArgs = map[string]string{}
			}
			o.f.conjuring.BuildArgs[k] = v
		}
	}
}

// imageOnly says that base and core are images here and never run (A3).
func (o *override) imageOnly(name string) {
	for k := range pairs(value(value(o.root, "services"), name)) {
		if k.Value != "build" && !strings.HasPrefix(k.Value, "x-") {
			o.warn("legacy-A3", o.file, k.Line, fmt.Sprintf("%s line %d: services.%s.%s; %s is only an image here and is never started (A3)", OverrideYML, k.Line, name, k.Value, name),
				"the line has no effect", "remove it, or move it to the service conjuring")
		}
	}
}

// volumes checks the named volumes.
func (o *override) volumes(p *types.Project) {
	for name, v := range p.Volumes {
		if v.Driver != "" && v.Driver != "local" {
			o.refuse("override-unsupported", o.line("volumes", name, "driver"), "volumes."+name+".driver: "+short(v.Driver)+" is not supported", "remove it")
		}
	}
}

// withoutVersion blanks the old key version, about which compose would write to
// standard error.
func (o *override) withoutVersion(data []byte) []byte {
	for i := 0; i+1 < len(o.root.Content); i += 2 {
		k, v := o.root.Content[i], o.root.Content[i+1]
		if k.Value != "version" {
			continue
		}
		lines := strings.Split(string(data), "\n")
		if k.Column == 1 && k.Line == v.Line && k.Line <= len(lines) && len(o.root.Content) > 2 {
			lines[k.Line-1] = ""
			data = []byte(strings.Join(lines, "\n"))
		}
		o.root.Content = slices.Delete(o.root.Content, i, i+2)
		break
	}
	return data
}

var composePath = regexp.MustCompile(`(?:services|volumes)\.[A-Za-z0-9_.-]+`)

// composeError words what compose found. Its own words stay out; the place counts.
func (o *override) composeError(err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	text := err.Error()
	if path := strings.Trim(composePath.FindString(text), "."); path != "" {
		o.refuse("override-value", o.line(strings.Split(path, ".")...), path+" has a value that does not fit", "compare it with Docker's description of compose files")
		return
	}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		o.yamlSyntax(o.file, err)
		return
	}
	if slices.ContainsFunc([]string{"variable", "interpolation", "template", "required"}, func(w string) bool { return strings.Contains(text, w) }) {
		o.error("override-variable", o.file, 0, OverrideYML+" uses a ${NAME} that has no value or is not complete", "give it a value in .env, beside users.csv, or write the value itself")
		return
	}
	o.error("override-value", o.file, 0, OverrideYML+" is not a compose file that fits the class", "compare it with Docker's description of compose files")
}
