package custom

import (
	"io/fs"
	"slices"

	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/users"
)

// Names of the files and folders that a teacher sees.
const (
	UsersCSV        = "users.csv"
	CoursesCSV      = "courses.csv"
	BaseDockerfile  = "base.Dockerfile"
	AptTXT          = "apt.txt"
	RequirementsTXT = "requirements.txt"
	GroveTXT        = "grove-requirements.txt" // what Grove calls a course's requirements.txt
	OverrideYML     = "docker-compose.override.yml"
	SettingsYAML    = "conjured.yaml"
	RuntimeTXT      = "runtime.txt"
	SrvDir          = "srv"
	HomeDefaultDir  = "home_default"
	SharedDir       = "shared"
)

// Options of [Read]. The zero value reads the folder alone and trusts it least.
type Options struct {
	// Policy is what the machine's own settings allow the override to do.
	Policy Policy
	// OverrideBeside also looks for docker-compose.override.yml beside the folder,
	// where the old project has it, when the folder is called custom and holds
	// none itself (doc/adr: the override beside the folder). It is the only thing
	// ever opened outside the folder.
	OverrideBeside bool

	saved  bool             // the folder is a copy that Save wrote
	roster users.Roster     // of such a copy, which has no users.csv
	opened func(rel string) // tests: called before anything is opened
}

// Folder is what was read. Its methods give copies; a part that is absent is empty.
type Folder struct {
	name         string
	users        []byte
	roster       users.Roster
	dockerfile   []byte
	stages       []Stage
	apt          []AptPackage
	requirements Requirements
	environments []Environment
	specs        []Spec
	srv          []File
	conjuring    Service
	services     []Service
	homeDefault  []Entry
	shared       []Entry
	fingerprints Fingerprints
	notices      notice.List

	source source // where Save takes the bytes from
}

// Stage is one FROM line of base.Dockerfile.
type Stage struct {
	Name  string // as in "FROM image AS name", lower case; "" when unnamed
	Image string // as written, variables unresolved; may be the name of an earlier stage
	Line  int    // 1-based
}

// AptPackage is one word of apt.txt.
type AptPackage struct {
	Name    string // with ":arch" when one was written
	Version string // "" for any
	File    string // relative to the folder: apt.txt, or that of a course
	Line    int    // 1-based
}

// Spec is the package as apt-get takes it: name or name=version.
func (p AptPackage) Spec() string {
	if p.Version == "" {
		return p.Name
	}
	return p.Name + "=" + p.Version
}

// Requirements is requirements.txt with everything it names.
type Requirements struct {
	Text   []byte        // requirements.txt, normalised; nil when absent
	Files  []File        // requirements.txt first, then what -r and -c name, normalised, in order of first use
	Items  []Requirement // what is asked for, in order
	Wheels []Entry       // local wheels, Path relative to the folder
	Pre    bool          // --pre: unfinished versions will do
	Strict bool          // --require-hashes: nothing without a checksum
}

// Requirement is one line that asks for a package.
type Requirement struct {
	Name       string   // normalised as PEP 503 says; for a local wheel its distribution's name
	Spec       string   // the line without comments, continuations and hashes
	File       string   // relative to the folder
	Line       int      // 1-based
	Constraint bool     // comes from a -c file: limits a version, installs nothing
	Hashes     []string // such as sha256:9f86...; a file of the package has to have one of them; nil: any file
}

// Environment is one environment*.yml, named by the rules E2 to E4.
type Environment struct {
	Name string // "base" is the class's own
	File string
	Line int // of the name; 0 when it comes from the file's name
	Text []byte
}

// File is a small file with its bytes.
type File struct {
	Path string // relative to the folder, slash-separated
	Name string // where it goes: for srv/ the flattened name (A9), else the base of Path
	Data []byte
}

// Entry is one thing in home_default/ or shared/, or a local wheel.
type Entry struct {
	Path   string      // relative to the folder, slash-separated
	Mode   fs.FileMode // type and permission bits
	Size   int64       // bytes; 0 for what is not a regular file
	SHA256 string      // hex; "" for what is not a regular file
	Link   string      // target of a symbolic link
}

// Name is the class's name: class: in conjured.yaml, else the folder's name, or
// that of the folder above when it is called custom.
func (f *Folder) Name() string { return f.name }

// Users is users.csv as it was on the disk, or nil. It holds passwords. A loaded
// copy has none.
func (f *Folder) Users() []byte { return slices.Clone(f.users) }

// Roster is the accounts of users.csv. That of a loaded copy has no passwords, and
// Read is false, so that it can be shown and not applied.
func (f *Folder) Roster() users.Roster { return cloneRoster(f.roster) }

// BaseDockerfile is base.Dockerfile as UTF-8 with LF, or nil.
func (f *Folder) BaseDockerfile() []byte { return slices.Clone(f.dockerfile) }

// Stages is the FROM lines of base.Dockerfile.
func (f *Folder) Stages() []Stage { return slices.Clone(f.stages) }

// AptPackages is apt.txt, in order, and then what the courses ask for beyond it.
func (f *Folder) AptPackages() []AptPackage { return slices.Clone(f.apt) }

// Requirements is requirements.txt with everything it names.
func (f *Folder) Requirements() Requirements {
	r := f.requirements
	r.Text, r.Files, r.Items, r.Wheels = slices.Clone(r.Text), slices.Clone(r.Files), slices.Clone(r.Items), slices.Clone(r.Wheels)
	return r
}

// EnvironmentFiles is environment*.yml in the old project's order (E6).
func (f *Folder) EnvironmentFiles() []Environment { return slices.Clone(f.environments) }

// Srv is the files of srv/, by flattened name.
func (f *Folder) Srv() []File { return slices.Clone(f.srv) }

// Override is the service conjuring: the class's own compose file with the
// teacher's override merged over it.
func (f *Folder) Override() Service { return f.conjuring }

// Services is what the override adds beside conjuring, by name.
func (f *Folder) Services() []Service { return slices.Clone(f.services) }

// HomeDefault is what a new home starts with; paths begin with "home_default".
func (f *Folder) HomeDefault() []Entry { return slices.Clone(f.homeDefault) }

// Shared is what everybody can read at /shared; paths begin with "shared".
func (f *Folder) Shared() []Entry { return slices.Clone(f.shared) }

// Fingerprints is one hash for each part.
func (f *Folder) Fingerprints() Fingerprints { return f.fingerprints }

// ID is the setup's id: one hash over all fingerprints.
func (f *Folder) ID() string { return f.fingerprints.Setup() }

// Notices is what [Read] also returned.
func (f *Folder) Notices() notice.List { return slices.Clone(f.notices) }
