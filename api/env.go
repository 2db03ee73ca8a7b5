package api

import (
	"net/url"
	"time"

	"github.com/conjuring/conjured/notice"
)

// EnvVerb is what is done with environments; it is the last part of the path.
type EnvVerb string

// The verbs. Each may be asked for again: what is so already is not done twice.
const (
	EnvShow     EnvVerb = "show"     // Names[0], Ref: Shown
	EnvResolve  EnvVerb = "resolve"  // Names or all: the exact list, nothing built
	EnvDiff     EnvVerb = "diff"     // Names[0], From, To: Compared
	EnvTag      EnvVerb = "tag"      // Names or all: a name for the newest exact list
	EnvDeploy   EnvVerb = "deploy"   // Names[0], Ref: build what a tag says
	EnvLabel    EnvVerb = "label"    // Names[0], Label, Ref
	EnvPromote  EnvVerb = "promote"  // Names or all: next becomes current
	EnvRollback EnvVerb = "rollback" // Names[0], To
	EnvPin      EnvVerb = "pin"      // Names[0], Ref
	EnvUnpin    EnvVerb = "unpin"    // Names[0], Ref
	EnvUpdate   EnvVerb = "update"   // Names or all: resolve, tag, deploy, and promote if the policy lets it
	EnvReset    EnvVerb = "reset"    // Names: the list in use, built anew from the store
	EnvActivate EnvVerb = "activate" // Names[0], Ref: Place; the caller runs the container
	EnvVerify   EnvVerb = "verify"   // Names or all
	EnvGC       EnvVerb = "gc"       // DryRun: removes what nobody needs any more: Freed
	EnvRemove   EnvVerb = "remove"   // Names[0], DryRun: an imported one is not used any more
	EnvLog      EnvVerb = "log"      // Names[0] or none, Lines: Log
	EnvImport   EnvVerb = "import-gitenv"
	EnvExport   EnvVerb = "export-gitenv"
	EnvRepair   EnvVerb = "repair" // has the history agree with the disk
)

// EnvPath is where a verb is sent to: POST EnvRequest: EnvReply.
func EnvPath(v EnvVerb) string { return PathEnvironments + "/" + url.PathEscape(string(v)) }

// EnvRequest is what a verb is about. A Ref, From or To is a label, a tag or the
// number of a generation; "" is what the verb usually means.
type EnvRequest struct {
	Names    []string `json:"names,omitempty"` // none: all environments, where a verb allows it
	Ref      string   `json:"ref,omitempty"`
	From     string   `json:"from,omitempty"`
	To       string   `json:"to,omitempty"`
	Label    string   `json:"label,omitempty"`
	Upgrade  bool     `json:"upgrade,omitempty"`  // take the newest versions of everything
	Packages []string `json:"packages,omitempty"` // take the newest versions of these
	Offline  bool     `json:"offline,omitempty"`  // use what the box has, and nothing else
	Path     string   `json:"path,omitempty"`     // of a repository on the daemon's machine, absolute
	Lines    int      `json:"lines,omitempty"`    // of the log; 0 is a screen full
	DryRun   bool     `json:"dry_run,omitempty"`  // say what would be done, and do nothing
}

// EnvReply is what came of a verb. Only the part that the verb speaks of is there.
type EnvReply struct {
	Outcomes []EnvOutcome    `json:"outcomes"`
	Compared *EnvCompared    `json:"compared,omitempty"`
	Shown    *EnvShown       `json:"shown,omitempty"`
	Place    *EnvPlace       `json:"place,omitempty"`
	Log      []EnvLogEntry   `json:"log,omitempty"`
	Freed    []EnvFreed      `json:"freed,omitempty"`
	Notices  []notice.Notice `json:"notices,omitempty"` // about no environment in particular
}

// EnvFreed is what was, or with DryRun would be, removed of one kind: generations,
// resolutions, conda-packages, wheels, index-packages, scratch, old-histories.
type EnvFreed struct {
	Kind  string `json:"kind"`
	Count int    `json:"count"`
	Bytes int64  `json:"bytes"` // that the disk gets back
}

// EnvDid says in a word what became of one environment.
type EnvDid string

// What may become of an environment.
const (
	EnvUnchanged  EnvDid = "unchanged" // it was so already
	EnvResolved   EnvDid = "resolved"
	EnvTagged     EnvDid = "tagged"
	EnvDeployed   EnvDid = "deployed"
	EnvPromoted   EnvDid = "promoted"
	EnvWaits      EnvDid = "waiting" // made and tested; somebody has to approve of it
	EnvRolledBack EnvDid = "rolled-back"
	EnvLabelled   EnvDid = "labelled"
	EnvPinned     EnvDid = "pinned"
	EnvUnpinned   EnvDid = "unpinned"
	EnvWasReset   EnvDid = "reset"
	EnvVerified   EnvDid = "verified"
	EnvRemoved    EnvDid = "removed"
	EnvRemovable  EnvDid = "removable" // nobody needs it; it was only looked at
	EnvRepaired   EnvDid = "repaired"
	EnvImported   EnvDid = "imported"
	EnvExported   EnvDid = "exported"
	EnvFailed     EnvDid = "failed" // nothing changed; the notices say why
)

// EnvOutcome is what became of one environment.
type EnvOutcome struct {
	Env        string          `json:"env"`
	Did        EnvDid          `json:"did"`
	Generation int             `json:"generation,omitempty"` // that the outcome is about
	Tag        string          `json:"tag,omitempty"`
	Labels     map[string]int  `json:"labels,omitempty"` // afterwards: the generation that each points at
	Changes    *EnvChanges     `json:"changes,omitempty"`
	Sentence   string          `json:"sentence,omitempty"` // for a teacher
	Missing    []string        `json:"missing,omitempty"`  // all files that are neither here nor to be had
	Notices    []notice.Notice `json:"notices,omitempty"`
}

// EnvChanges is the difference of two exact lists.
type EnvChanges struct {
	Class      string      `json:"class"` // none, add-only, patch, major, system
	Added      []EnvChange `json:"added,omitempty"`
	Removed    []EnvChange `json:"removed,omitempty"`
	Upgraded   []EnvChange `json:"upgraded,omitempty"`
	Downgraded []EnvChange `json:"downgraded,omitempty"`
	Rebuilt    []EnvChange `json:"rebuilt,omitempty"` // the same version, built again

	// Variables are those of the teacher's files whose value differs. Their engine is
	// "variable"; From and To are values.
	Variables []EnvChange `json:"variables,omitempty"`
}

// Count is how many packages and variables differ.
func (c EnvChanges) Count() int {
	return len(c.Added) + len(c.Removed) + len(c.Upgraded) + len(c.Downgraded) + len(c.Rebuilt) + len(c.Variables)
}

// EnvChange is one package that differs.
type EnvChange struct {
	Name   string `json:"name"`
	From   string `json:"from,omitempty"` // version; "" when it is new
	To     string `json:"to,omitempty"`   // version; "" when it goes
	Engine string `json:"engine"`         // pip, conda, apt
	Bytes  int64  `json:"bytes,omitempty"`
}

// EnvCompared is the difference of two generations, with whom it touches.
type EnvCompared struct {
	Env      string     `json:"env"`
	From     EnvRef     `json:"from"`
	To       EnvRef     `json:"to"`
	Changes  EnvChanges `json:"changes"`
	Sentence string     `json:"sentence"` // for a teacher
	Touched  EnvTouched `json:"touched"`
}

// EnvRef is one side of a comparison.
type EnvRef struct {
	Asked      string `json:"asked"`                // as it was asked for: a label, a tag, a number
	Generation int    `json:"generation,omitempty"` // 0 when it was never built, or is nothing
	Tag        string `json:"tag,omitempty"`
}

// EnvTouched is who notices a change of packages.
type EnvTouched struct {
	Courses []string `json:"courses,omitempty"`
	Servers int      `json:"servers"` // that run now and see the environment
	Kernels int      `json:"kernels"` // that run now in it
}

// EnvShown is one generation with its packages.
type EnvShown struct {
	Environment Environment   `json:"environment"`
	Generation  EnvGeneration `json:"generation"`
	Packages    []EnvPackage  `json:"packages"`
	Variables   []string      `json:"variables,omitempty"` // NAME=value, that its kernels have
}

// EnvPackage is one package of an exact list.
type EnvPackage struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Build    string `json:"build,omitempty"`
	Engine   string `json:"engine"` // pip, conda, apt
	Bytes    int64  `json:"bytes,omitempty"`
	Checksum bool   `json:"checksum,omitempty"` // the folder gives its checksum, and no other file can come
}

// EnvGeneration is one line of an environment's generations.
type EnvGeneration struct {
	Number   int       `json:"number"`
	State    string    `json:"state"` // building, ready
	Labels   []string  `json:"labels,omitempty"`
	Tag      string    `json:"tag,omitempty"`
	Pinned   bool      `json:"pinned,omitempty"`
	Python   string    `json:"python,omitempty"`
	Packages int       `json:"packages,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	Bytes    int64     `json:"bytes,omitempty"` // on the disk, without what older ones have too; 0 when not known
	ID       string    `json:"id,omitempty"`    // sha256 of the exact list
}

// EnvWaiting is what was made, tested, and waits for somebody's approval.
type EnvWaiting struct {
	Generation int    `json:"generation"`
	Class      string `json:"class"` // of the changes
	Sentence   string `json:"sentence"`
}

// EnvPlace is where a generation can be looked at: everything that a container of it
// is made from.
type EnvPlace struct {
	Env        string `json:"env"`
	Display    string `json:"display"`
	Generation int    `json:"generation"`
	Image      string `json:"image"` // id of the class image
	Root       string `json:"root"`  // directory of all environments on the daemon's machine
	Mount      string `json:"mount"` // where containers see it
	Path       string `json:"path"`  // of the generation, below Root and Mount
	Conda      bool   `json:"conda"` // it is a prefix of conda's

	Variables []string `json:"variables,omitempty"` // NAME=value, that its kernels have beside what all have
	Unset     []string `json:"unset,omitempty"`     // names that they do not have
	Dirs      []string `json:"dirs,omitempty"`      // that stand behind its bin in PATH, as containers see them
}

// EnvLogEntry is one line of the history.
type EnvLogEntry struct {
	Time   time.Time `json:"time,omitzero"`
	Env    string    `json:"env"`
	Commit string    `json:"commit,omitempty"`
	Tag    string    `json:"tag,omitempty"`
	What   string    `json:"what"`
}
