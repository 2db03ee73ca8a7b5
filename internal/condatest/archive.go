package condatest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os/exec"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// packed is the time that every member of an archive has: an archive made twice is
// the same bytes.
func packedAt() time.Time { return time.Date(2023, 11, 14, 0, 0, 0, 0, time.UTC) }

// pack makes the archive.
func (p Package) pack() []byte {
	files, info := p.files(), p.info()
	payload := append(files, p.Unlisted...)
	if p.Bz2 {
		return bzip2(tarOf(append(info, payload...)))
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	member := func(name string, data []byte) {
		// Installers read the archive while it arrives: the length goes before the data.
		h := &zip.FileHeader{
			Name: name, Method: zip.Store, CRC32: crc32.ChecksumIEEE(data),
			CompressedSize64: uint64(len(data)), UncompressedSize64: uint64(len(data)),
		}
		//lint:ignore SA1019 CreateRaw writes this field, and not Modified
		h.ModifiedDate = 43<<9 | 11<<5 | 14
		w, err := z.CreateRaw(h)
		if err == nil {
			_, err = w.Write(data)
		}
		must(err)
	}
	member("metadata.json", encode(map[string]int{"conda_pkg_format_version": 2}))
	member("pkg-"+p.stem()+".tar.zst", Zstd(tarOf(payload)))
	member("info-"+p.stem()+".tar.zst", Zstd(tarOf(info)))
	must(z.Close())
	return b.Bytes()
}

// info is the files below info/, of which installers need index.json, paths.json and,
// for noarch python, link.json.
func (p Package) info() []File {
	type entry struct {
		Path        string `json:"_path"`
		Type        string `json:"path_type"`
		SHA256      string `json:"sha256"`
		Size        int    `json:"size_in_bytes"`
		Placeholder string `json:"prefix_placeholder,omitempty"`
		Mode        string `json:"file_mode,omitempty"`
	}
	paths, names := []entry{}, ""
	for _, f := range p.files() {
		h := sha256.Sum256(f.Data)
		e := entry{Path: f.Path, Type: "hardlink", SHA256: hex.EncodeToString(h[:]), Size: len(f.Data), Mode: f.mode()}
		if f.Link != "" {
			e.Type = "softlink"
		}
		if e.Mode != "" {
			e.Placeholder = Placeholder
		}
		paths = append(paths, e)
		names += f.Path + "\n"
	}
	about := map[string]any{"license": p.index()["license"], "summary": p.Name}
	out := []File{
		{Path: "info/about.json", Data: encode(about)},
		{Path: "info/files", Data: []byte(names)},
		{Path: "info/index.json", Data: encode(p.index())},
		{Path: "info/paths.json", Data: encode(map[string]any{"paths": paths, "paths_version": 1})},
	}
	if p.Noarch == "python" {
		link := map[string]any{"type": "python", "entry_points": list(p.EntryPoints)}
		out = append(out, File{Path: "info/link.json", Data: encode(map[string]any{"noarch": link, "package_metadata_version": 1})})
	}
	return out
}

func tarOf(files []File) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		mode := int64(f.Mode.Perm())
		if mode == 0 {
			mode = 0o644
		}
		h := &tar.Header{Name: f.Path, Mode: mode, Size: int64(len(f.Data)), ModTime: packedAt(), Format: tar.FormatPAX, Typeflag: tar.TypeReg}
		if f.Link != "" {
			h.Typeflag, h.Linkname, h.Size, h.Mode = tar.TypeSymlink, f.Link, 0, 0o777
		}
		must(w.WriteHeader(h))
		if f.Link == "" {
			_, err := w.Write(f.Data)
			must(err)
		}
	}
	must(w.Close())
	return b.Bytes()
}

// Zstd compresses as the channel and the .conda format do.
func Zstd(data []byte) []byte {
	// One worker: with more, the size of the blocks depends on the machine.
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	must(err)
	out := w.EncodeAll(data, nil)
	must(w.Close())
	return out
}

// bzip2 asks the program: Go reads that format and does not write it.
func bzip2(data []byte) []byte {
	cmd := exec.Command("bzip2", "--compress", "--stdout")
	cmd.Stdin = bytes.NewReader(data)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		panic(fmt.Sprintf("cannot pack a .tar.bz2 with the bzip2 program: %v %s", err, complaint.String()))
	}
	return out
}

// encode gives JSON with sorted keys.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	must(err)
	return b
}

// must is for what cannot fail in memory.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
