package custom

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxClassName is the longest name of a class, in letters: it stands on the login page.
const maxClassName = 80

// settings reads conjured.yaml.
func (r *reader) settings() {
	r.f.name = nameOfFolder(r.dir)
	data, ok := r.text(SettingsYAML, MaxYAML)
	if data == nil || !ok {
		return
	}
	for k, v := range pairs(r.yaml(SettingsYAML, data, MaxYAMLNodes)) {
		switch k.Value {
		case "class":
			r.className(v)
		case "sdists":
			r.sdists(v)
		default:
			r.error("settings-key", SettingsYAML, k.Line, fmt.Sprintf("%s line %d: there is no setting called %q", SettingsYAML, k.Line, short(k.Value)), "check the spelling; the settings are class and sdists")
		}
	}
}

func (r *reader) className(v *yaml.Node) {
	name := strings.TrimSpace(v.Value)
	if v.Kind != yaml.ScalarNode || name == "" || printable(name) != name || utf8.RuneCountInString(name) > maxClassName {
		r.error("settings-class", SettingsYAML, v.Line, fmt.Sprintf("%s line %d: the class's name should be one line of at most %d letters", SettingsYAML, v.Line, maxClassName), "write it as: class: Geography 7b")
		return
	}
	r.f.name, r.class = name, name
}

// sdists says whether packages that exist as source only may be built, which runs code
// of theirs on the way.
func (r *reader) sdists(v *yaml.Node) {
	switch v.Value {
	case "allow":
		r.build = true
	case "refuse":
	default:
		r.error("settings-sdists", SettingsYAML, v.Line, fmt.Sprintf("%s line %d: sdists says whether packages without a wheel may be built, and is allow or refuse", SettingsYAML, v.Line), "write it as: sdists: allow")
	}
}

// nameOfFolder is the class's name when nobody gave one. A folder called custom
// says nothing; the one above it may.
func nameOfFolder(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	name := filepath.Base(dir)
	if name == "custom" {
		name = filepath.Base(filepath.Dir(dir))
	}
	name = strings.TrimSpace(printable(name))
	if name == "" || name == "/" || name == "." || utf8.RuneCountInString(name) > maxClassName {
		return "Conjuring"
	}
	return name
}
