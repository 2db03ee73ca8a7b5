package custom

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strconv"
)

// Fingerprints is one hex sha256 for each part of a folder. Equal fingerprints
// mean that the part needs no work. They are made of what a part means and not of
// how it was written down: a comment in apt.txt moves nothing.
type Fingerprints struct {
	Roster      string `json:"roster"`      // users.csv
	Content     string `json:"content"`     // home_default/ and shared/
	Image       string `json:"image"`       // base.Dockerfile, apt.txt, build arguments of the override
	Environment string `json:"environment"` // what base asks for: requirements.txt, environment.yml, local wheels
	Kernels     string `json:"kernels"`     // all other environments, and who sees their kernels
	Code        string `json:"code"`        // srv/, the override with .env put in, class: in conjured.yaml
}

// Setup is the id of the whole: hex sha256 over all parts.
func (p Fingerprints) Setup() string {
	h := newFingerprint("setup")
	h.add(p.Roster, p.Content, p.Image, p.Environment, p.Kernels, p.Code)
	return h.sum()
}

// fingerprint hashes a list of texts so that no two lists look alike: each text is
// preceded by its length, and the list by what it is.
type fingerprint struct{ hash.Hash }

func newFingerprint(part string) fingerprint {
	h := fingerprint{sha256.New()}
	h.add("conjured", "1", part)
	return h
}

func (h fingerprint) add(texts ...string) {
	for _, s := range texts {
		fmt.Fprintf(h, "%d:%s,", len(s), s)
	}
}

func (h fingerprint) sum() string { return hex.EncodeToString(h.Sum(nil)) }

func (h fingerprint) entries(l []Entry) {
	h.add(strconv.Itoa(len(l)))
	for _, e := range l {
		h.add(e.Path, strconv.FormatUint(uint64(e.Mode), 8), strconv.FormatInt(e.Size, 10), e.SHA256, e.Link)
	}
}

// hashes adds checksums. Where there are none it adds nothing, so that a folder without
// any is what it was before they counted.
func (h fingerprint) hashes(l ...string) {
	if l = slices.DeleteFunc(slices.Clone(l), func(s string) bool { return s == "" }); len(l) > 0 {
		h.add("hashes", strconv.Itoa(len(l)))
		h.add(l...)
	}
}

// spec adds what is asked for, and not where it stands.
func (h fingerprint) spec(s Spec) {
	h.add(s.Name, s.Display, s.Course, s.Python, strconv.FormatBool(s.AllowBuild), strconv.FormatBool(s.Students == nil))
	for _, list := range [][]string{s.Students, s.Channels} {
		h.add(strconv.Itoa(len(list)))
		h.add(list...)
	}
	h.add(strconv.Itoa(len(s.Conda)))
	for _, c := range s.Conda {
		h.add(c.Spec)
		h.hashes(c.Hash)
	}
	h.add(strconv.Itoa(len(s.Pip)))
	for _, p := range s.Pip {
		h.add(p.Spec, strconv.FormatBool(p.Constraint))
		h.hashes(p.Hashes...)
	}
	h.entries(s.Wheels)
	if s.Pre {
		h.add("option", "pre")
	}
	if s.Strict {
		h.add("option", "strict")
	}
	for _, v := range s.Variables { // none writes nothing: what a folder was before stays what it is
		h.add("variable", v.Assignment())
	}
}

func (r *reader) fingerprint() Fingerprints {
	f := r.f
	roster := newFingerprint("roster")
	roster.add(strconv.FormatBool(f.users != nil), f.rosterText())

	content := newFingerprint("content")
	content.entries(f.homeDefault)
	content.entries(f.shared)

	image := newFingerprint("image")
	image.add(string(f.dockerfile), strconv.Itoa(len(f.apt)))
	for _, p := range f.apt {
		image.add(p.Spec())
	}
	for _, k := range slices.Sorted(maps.Keys(f.conjuring.BuildArgs)) {
		image.add(k, f.conjuring.BuildArgs[k])
	}

	environment, kernels := newFingerprint("environment"), newFingerprint("kernels")
	for _, spec := range f.specs {
		if spec.Name == BaseEnvironment {
			environment.spec(spec)
			continue
		}
		kernels.spec(spec)
	}

	code := newFingerprint("code")
	// A folder that is only called differently, as a copy in a staging place is, is
	// the same class.
	code.add(r.class, strconv.Itoa(len(f.srv)))
	for _, s := range f.srv {
		code.add(s.Name, string(s.Data))
	}
	class := f.conjuring
	class.BuildArgs = nil                                                // the image's
	services, _ := json.Marshal(append([]Service{class}, f.services...)) // plain values: cannot fail
	code.add(string(services))
	return Fingerprints{
		Roster: roster.sum(), Content: content.sum(), Image: image.sum(),
		Environment: environment.sum(), Kernels: kernels.sum(), Code: code.sum(),
	}
}
