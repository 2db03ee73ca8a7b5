package condatest

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Platform is the subdir of packages that are not noarch.
const Platform = "linux-64"

// Noarch is the subdir of packages for every platform.
const Noarch = "noarch"

// Placeholder stands for the prefix in files that name it. An installer writes the true
// prefix in its place; in a file with a NUL byte (a binary) it keeps the length. A file
// whose Data contains it is announced accordingly. 255 bytes, as conda-build's.
const Placeholder = "/opt/placehold" + long + long + long + long + "_"

const long = "_placehold_placehold_placehold_placehold_placehold_placehold"

// File is a file of a package.
type File struct {
	Path string // relative to the prefix; of noarch python: site-packages/..., python-scripts/...
	Data []byte
	Mode fs.FileMode // 0 is 0644
	Link string      // the target, for a symbolic link; Data is not used then
}

// Package is a conda package to be made. Name and Version suffice.
type Package struct {
	Name, Version string
	Build         string   // build string; "" is h0_N, py_N for noarch python, N being Number
	Number        int      // build number
	Noarch        string   // "", "python" or "generic"
	Depends       []string // match specs: "python >=3.12", "libtiny >=1.2,<2"
	Constrains    []string
	License       string // "" is BSD-3-Clause
	Timestamp     int64  // when it was built, in milliseconds since 1970; 0 is in November 2023
	EntryPoints   []string
	Files         []File // nil: a module and its dist-info (noarch python), or share/NAME
	Bz2           bool   // the older format, by the bzip2 program of this machine

	BrokenHash bool   // the channel announces another hash
	MD5        string // what the channel announces as md5; "" is the true one
	Truncated  bool   // the archive ends in the middle, and the announced hash is that of the half
	Yanked     bool   // no longer in the channel's index, still to be had by its address
	Unlisted   []File // in the archive, and in no list of its files

	packed []byte // set for packages that take long to pack
}

// Module is the files of a noarch python package with one module: the module with this
// source ("" is a line with __version__), and metadata that pip and uv can read.
func Module(name, version, source string, requires ...string) []File {
	module := strings.ReplaceAll(name, "-", "_")
	if source == "" {
		source = fmt.Sprintf("__version__ = %q\n", version)
	}
	meta := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)
	for _, r := range requires {
		meta += "Requires-Dist: " + r + "\n"
	}
	info := fmt.Sprintf("site-packages/%s-%s.dist-info/", module, version)
	record := fmt.Sprintf("%s.py,,\n", module)
	for _, n := range []string{"INSTALLER", "METADATA", "RECORD"} {
		record += strings.TrimPrefix(info, "site-packages/") + n + ",,\n"
	}
	return []File{
		{Path: "site-packages/" + module + ".py", Data: []byte(source)},
		{Path: info + "INSTALLER", Data: []byte("conda\n")},
		{Path: info + "METADATA", Data: []byte(meta)},
		{Path: info + "RECORD", Data: []byte(record)},
	}
}

// Subdir is where the channel has the package.
func (p Package) Subdir() string {
	if p.Noarch != "" {
		return Noarch
	}
	return Platform
}

// BuildString is Build, or what stands for an empty one.
func (p Package) BuildString() string {
	switch {
	case p.Build != "":
		return p.Build
	case p.Noarch == "python":
		return fmt.Sprintf("py_%d", p.Number)
	default:
		return fmt.Sprintf("h0_%d", p.Number)
	}
}

// File is the package's file name.
func (p Package) File() string {
	if p.Bz2 {
		return p.stem() + ".tar.bz2"
	}
	return p.stem() + ".conda"
}

func (p Package) stem() string { return p.Name + "-" + p.Version + "-" + p.BuildString() }

// Bytes is the archive. It panics when it cannot be packed, which for Bz2 includes a
// machine without bzip2.
func (p Package) Bytes() []byte {
	b := p.packed
	if b == nil {
		b = p.pack()
	}
	if p.Truncated {
		b = b[:len(b)/2]
	}
	return b
}

// SHA256 is the hash of Bytes, hex.
func (p Package) SHA256() string {
	h := sha256.Sum256(p.Bytes())
	return hex.EncodeToString(h[:])
}

// files is what the package installs, sorted.
func (p Package) files() []File {
	out := slices.Clone(p.Files)
	if p.Files == nil && p.Noarch == "python" {
		out = Module(p.Name, p.Version, "")
	} else if p.Files == nil {
		out = []File{{Path: "share/" + p.Name, Data: []byte(p.Version + "\n")}}
	}
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// index is info/index.json.
func (p Package) index() map[string]any {
	license, stamp := p.License, p.Timestamp
	if license == "" {
		license = "BSD-3-Clause"
	}
	if stamp == 0 {
		stamp = 1700000000000
	}
	out := map[string]any{
		"name": p.Name, "version": p.Version, "build": p.BuildString(), "build_number": p.Number,
		"depends": list(p.Depends), "constrains": list(p.Constrains), "license": license,
		"subdir": p.Subdir(), "timestamp": stamp, "arch": nil, "platform": nil,
	}
	if p.Noarch != "" {
		out["noarch"] = p.Noarch
	} else {
		out["arch"], out["platform"] = "x86_64", "linux"
	}
	return out
}

// record is the package's entry in repodata.json, for an archive of these bytes.
func (p Package) record(archive []byte) map[string]any {
	out := p.index()
	sha, old := sha256.Sum256(archive), md5.Sum(archive)
	if p.BrokenHash {
		sha, old = [32]byte{}, [16]byte{}
	}
	out["sha256"], out["md5"], out["size"] = hex.EncodeToString(sha[:]), cmp.Or(p.MD5, hex.EncodeToString(old[:])), len(archive)
	return out
}

// list is never null in JSON.
func list(s []string) []string { return append([]string{}, s...) }

// mode is how conda's installers write the prefix into a file; "" when it has none.
func (f File) mode() string {
	switch {
	case f.Link != "" || !bytes.Contains(f.Data, []byte(Placeholder)):
		return ""
	case bytes.IndexByte(f.Data, 0) >= 0:
		return "binary"
	default:
		return "text"
	}
}
