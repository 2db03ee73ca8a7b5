package environments

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/conjuring/conjured/notice"
)

// hashed tells whether any line says which files may be installed.
func (s Spec) hashed() bool {
	return s.Strict || slices.ContainsFunc(s.Requirements, func(r Requirement) bool { return len(r.Hashes) > 0 }) ||
		slices.ContainsFunc(s.Conda, func(c CondaRequirement) bool { return c.Hash != "" })
}

// digestHashes writes the checksums of a spec, and nothing when there are none.
func (s Spec) digestHashes(w io.Writer) {
	for i, r := range s.Requirements {
		if len(r.Hashes) > 0 {
			fmt.Fprintf(w, "hashes %d %q\n", i, slices.Compact(slices.Sorted(slices.Values(r.Hashes))))
		}
	}
	for i, c := range s.Conda {
		if c.Hash != "" {
			fmt.Fprintf(w, "conda hash %d %q\n", i, c.Hash)
		}
	}
}

// allowed is the checksums of which a file of a release has to have one, and the line
// that says so; nil when the lines leave it open. Lines for another version do not count.
// Every line without a condition has to be met. Of lines with conditions it is not known
// here which hold, so one of them is enough.
func (s Spec) allowed(name, version string) (hashes []string, at Requirement) {
	var either []string
	for _, r := range s.Requirements {
		if r.Name != name || len(r.Hashes) == 0 || !r.mayBe(version) {
			continue
		}
		_, _, marked := strings.Cut(r.Spec, ";")
		if at.File == "" || !marked {
			at = r
		}
		switch {
		case marked:
			either = append(either, r.Hashes...)
		case hashes == nil:
			hashes = slices.Clone(r.Hashes)
		default:
			hashes = common(hashes, r.Hashes)
		}
	}
	if hashes == nil {
		return either, at
	}
	return hashes, at
}

// mayBe tells whether a line can mean a version: unless it names another one exactly.
func (r Requirement) mayBe(version string) bool {
	text, _, _ := strings.Cut(r.Spec, ";")
	m := exactForm.FindStringSubmatch(text)
	return version == "" || m == nil || strings.Contains(m[1], "*") || compareVersions(strings.TrimRight(m[1], ")"), version) == 0
}

// common is what is in both, and never nil.
func common(a, b []string) []string {
	out := []string{}
	for _, x := range a {
		if slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}

// Pins tells whether lines of s give checksums for a package of a manifest, and none of
// its files is another one.
func (s Spec) Pins(p Package) bool {
	if p.Kind == Conda {
		return slices.ContainsFunc(s.Conda, func(c CondaRequirement) bool {
			// The md5 of an archive is in no manifest: it was looked at when this was chosen.
			return c.Name() == p.Name && (slices.Contains(p.Hashes, c.Hash) || kindOf(c.Hash) == "md5" && c.Spec == p.String())
		})
	}
	allowed, _ := s.allowed(p.Name, p.version())
	return len(p.Hashes) > 0 && len(common(p.Hashes, allowed)) == len(p.Hashes)
}

// keepTo leaves of a manifest only the files that the lines allow. md5 is the hex md5 of
// conda's packages by their address, as their channels give it. When nothing is left of a
// package the error says so, at the line that gives the checksums.
func (s Spec) keepTo(m Manifest, md5 map[string]string) (Manifest, error) {
	var wrong notice.List
	m.Packages = slices.Clone(m.Packages)
	for i, p := range m.Packages {
		if p.Kind == Conda {
			wrong = append(wrong, s.archive(p, md5[p.URL])...)
			continue
		}
		hashes, at := s.allowed(p.Name, p.version())
		if hashes == nil || s.madeHere(p) {
			continue
		}
		m.Packages[i].Hashes = common(p.Hashes, hashes)
		if len(m.Packages[i].Hashes) == 0 {
			wrong = append(wrong, otherFile(at.File, at.Line, p.Name+" "+p.version(), hashes, p.Hashes, "package index"))
		}
	}
	return m, few(wrong).Err()
}

// keepTo compares what was chosen in this directory with the checksums of the lines. lab
// is the lock of what the class itself needs.
func (w work) keepTo(s Spec, m Manifest, lab []byte) (Manifest, error) {
	if !s.hashed() {
		return m, nil
	}
	var chosen []struct {
		URL string `json:"url"`
		MD5 string `json:"md5"`
	}
	data, err := readSmall(filepath.Join(w.host, "conda.json"))
	if err == nil {
		err = json.Unmarshal(data, &chosen)
	}
	if ignore(err) != nil {
		return m, fmt.Errorf("cannot read what was chosen of conda: %w", err)
	}
	md5 := map[string]string{}
	for _, c := range chosen {
		md5[c.URL] = c.MD5
	}
	if err := s.broughtByConda(w.provided()); err != nil {
		return m, err
	}
	if err := s.strict(m, lab); err != nil {
		return m, err
	}
	return s.keepTo(m, md5)
}

// strict refuses what comes with the packages asked for and has no checksum in the lines,
// where they want that. What the lock of the class itself lists is known well enough.
func (s Spec) strict(m Manifest, lab []byte) error {
	if !s.Strict {
		return nil
	}
	locked, err := parseLock(lab)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, p := range locked {
		for _, h := range p.Hashes {
			known[p.Name+" "+h] = true
		}
	}
	var without []string
	for _, p := range m.of(Pip) {
		if hashes, _ := s.allowed(p.Name, p.version()); hashes != nil || strings.HasPrefix(p.URL, "file://") {
			continue
		}
		if slices.ContainsFunc(p.Hashes, func(h string) bool { return !known[p.Name+" "+h] }) {
			without = append(without, p.Name)
		}
	}
	if without == nil {
		return nil
	}
	i := slices.IndexFunc(s.Requirements, func(r Requirement) bool { return len(r.Hashes) > 0 })
	n := notice.Notice{
		Code: "environment-hash-missing", Severity: notice.SeverityError, Means: unchanged,
		What: fmt.Sprintf("%s needed by the packages asked for, and no line gives a checksum of it, as --require-hashes wants", counted(without)),
		Do:   "make the list again with its tool (pip-compile --generate-hashes), or take --require-hashes out",
	}
	if i >= 0 {
		n.File = s.Requirements[i].File
	}
	return notice.List{n}
}

// broughtByConda refuses a line with checksums for what conda brings, because the file
// that it means is not the one that would be there.
func (s Spec) broughtByConda(have map[string]provided) error {
	var wrong notice.List
	for _, r := range s.Requirements {
		p, ok := have[r.Name]
		if !ok || len(r.Hashes) == 0 || r.Constraint || strings.Contains(r.Spec, ";") {
			continue
		}
		wrong = append(wrong, notice.Notice{
			Code: "environment-hash-conda", Severity: notice.SeverityError, File: r.File, Line: r.Line,
			What:  fmt.Sprintf("line %d of %s gives the checksum of a file of %s from the package index, and conda brings %s %s", r.Line, r.File, r.Name, p.Package, p.Version),
			Means: unchanged,
			Do:    "take the package out of one of the two files",
		})
	}
	return few(wrong).Err()
}

// madeHere tells of a wheel that was built from a source, whose checksum was looked at
// then: source.py.
func (s Spec) madeHere(p Package) bool {
	return strings.HasPrefix(p.URL, "file://") && !slices.ContainsFunc(s.Wheels, func(w Wheel) bool { return slices.Contains(p.Hashes, "sha256:"+w.SHA256) })
}

// archive compares the archive that was chosen with the lines that give its checksum.
func (s Spec) archive(p Package, md5 string) notice.List {
	have := slices.Clone(p.Hashes)
	if md5 != "" {
		have = append(have, "md5:"+md5)
	}
	var wrong notice.List
	for _, c := range s.Conda {
		if c.Hash != "" && c.Name() == p.Name && !slices.Contains(have, c.Hash) {
			wrong = append(wrong, otherFile(c.File, c.Line, p.String(), []string{c.Hash}, have, "channel"))
		}
	}
	return wrong
}

// askMaker is what to do about a file that is not the one that was meant.
const askMaker = "ask whoever made the list whether the package was changed on purpose; if so, make the list again with its tool"

// otherFile says that what is offered is not what a checksum was made of.
func otherFile(file string, line int, pkg string, want, have []string, where string) notice.Notice {
	n := notice.Notice{Code: "environment-hash-other", Severity: notice.SeverityError, File: file, Line: line, Means: unchanged}
	kinds := kindsOf(have)
	if !slices.ContainsFunc(want, func(h string) bool { return slices.Contains(kinds, kindOf(h)) }) && len(have) > 0 && len(want) > 0 {
		n.Code = "environment-hash-kind"
		n.What = fmt.Sprintf("the checksums for %s are of the kind %s, and its %s gives %s: they cannot be compared", pkg, strings.Join(kindsOf(want), " and "), where, strings.Join(kinds, " and "))
		n.Do = "make the list again with sha256 checksums, or take the checksums off this line"
		return n
	}
	switch len(want) {
	case 0:
		n.What = fmt.Sprintf("the lines for %s give different checksums, and no file can have both", pkg)
		n.Do = "keep one of the lines, or make the list again with its tool"
		return n
	case 1:
		n.What = fmt.Sprintf("the file of %s that the %s has is not the one that the checksum was made of", pkg, where)
	default:
		n.What = fmt.Sprintf("no file of %s that the %s has is one that the %d checksums were made of", pkg, where, len(want))
	}
	n.What += fmt.Sprintf(": expected %s, there is %s", some(want), some(have))
	n.Do = askMaker
	return n
}

// hashBad explains that a file that was downloaded is none of those of the manifest.
func (s Spec) hashBad(pkg string) notice.Notice {
	name := normalise(pinName(pkg))
	_, version, _ := strings.Cut(pkg, "==")
	if hashes, at := s.allowed(name, version); hashes != nil {
		return notice.Notice{
			Code: "environment-hash", File: at.File, Line: at.Line,
			What: fmt.Sprintf("the file of %s for this kind of computer is not one that the checksums on its line were made of: they may be of source code or for other computers, or the file was changed on its way", pkg),
			Do:   "make the list again with its tool, for Linux; if the checksums are right, try again with another connection",
		}
	}
	return s.at(name, notice.Notice{
		Code: "environment-hash", What: fmt.Sprintf("the file that was downloaded for %s is not the one that was chosen before", pkg),
		Do: "try again with another connection; if it happens again, name another version on that line",
	})
}

func kindOf(hash string) string {
	kind, _, _ := strings.Cut(hash, ":")
	return kind
}

func kindsOf(hashes []string) []string {
	var out []string
	for _, h := range hashes {
		out = append(out, kindOf(h))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// some is the beginning of the first checksum, and how many more there are.
func some(hashes []string) string {
	const digits = 16
	if len(hashes) == 0 {
		return "none"
	}
	kind, sum, _ := strings.Cut(hashes[0], ":")
	text := fmt.Sprintf("%s %s...", kind, sum[:min(digits, len(sum))])
	if n := len(hashes) - 1; n > 0 {
		text += fmt.Sprintf(" or one of %d more", n)
	}
	return text
}

// few is the first of many notices of one kind, as many as a person reads.
func few(l notice.List) notice.List {
	const most = 10
	if len(l) <= most {
		return l
	}
	l[most-1].What += fmt.Sprintf("; %d more packages are not as their lines say", len(l)-most)
	return l[:most]
}

// pinned is a package as a preference of the next choice. When its lines allow some
// files only, and not just those that it was installed with, it goes without checksums:
// uv would take those over, and look for no other file of the same version.
func (s Spec) pinned(p Package) Package {
	if allowed, _ := s.allowed(p.Name, p.version()); allowed != nil && len(common(p.Hashes, allowed)) < len(p.Hashes) {
		p.Hashes = nil
	}
	return p
}

// withoutHashes is a line of a lock as a preference, like pinned.
func (s Spec) withoutHashes(p Package, line string) string {
	if allowed, _ := s.allowed(p.Name, p.Version); allowed != nil {
		line, _, _ = strings.Cut(line, " --hash=")
		return strings.TrimRight(strings.TrimRight(line, " \n"), "\\ \n") + "\n"
	}
	return line
}
