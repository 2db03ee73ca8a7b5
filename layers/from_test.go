package layers

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/notice"
)

// A3: the stage called base is what counts, whatever else is in the file.
func TestA3_baseStage(t *testing.T) {
	for _, tc := range []struct {
		name, text, target string
		froms              []From
	}{
		{"old default", "FROM ubuntu:18.04 as base\nENV LANG=C.UTF-8\n", "base", []From{{"ubuntu:18.04", 1}}},
		{"unnamed", "FROM debian:trixie\n", "0", []From{{"debian:trixie", 1}}},
		{"last of two without base", "FROM a AS one\nFROM b AS two\n", "two", []From{{"b", 2}}},
		{"stages after base do not count", "FROM a AS base\nFROM b AS later\n", "base", []From{{"a", 1}}},
		{"chain", "FROM a AS one\nFROM one AS base\n", "base", []From{{"a", 1}}},
		{"copy from a stage", "FROM a AS tools\nFROM b AS Base\nCOPY --from=tools /x /x\n", "base", []From{{"a", 1}, {"b", 2}}},
		{"copy from an image", "FROM b AS base\n\nCOPY --from=img:1 /x /x\n", "base", []From{{"b", 1}, {"img:1", 3}}},
		{"copy from stage by number", "FROM a\nFROM b AS base\nCOPY --from=0 /x /x\n", "base", []From{{"a", 1}, {"b", 2}}},
		{"variable", "ARG R=debian\nARG V=trixie\nFROM $R:${V}-slim AS base\n", "base", []From{{"debian:trixie-slim", 3}}},
		{"variable with word", "ARG V\nFROM debian:${V:-bookworm} AS base\n", "base", []From{{"debian:bookworm", 2}}},
		{"scratch", "FROM scratch AS base\n", "base", nil},
		{"syntax line", "# syntax=docker/dockerfile:1\nFROM a AS base\n", "base", []From{{"a", 2}}},
		{"heredoc", "FROM a AS base\nRUN <<EOF\nFROM trap\nEOF\n", "base", []From{{"a", 1}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseBase([]byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			if got.target != tc.target {
				t.Errorf("target %q, want %q", got.target, tc.target)
			}
			if d := cmp.Diff(tc.froms, got.froms); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestBaseSyntax(t *testing.T) {
	for text, line := range map[string]int{
		"FROM a AS base\nRUNN x\n": 2, "": 0, "RUN x\n": 1, "FROM\n": 1, "FROM a AS base\nCOPY\n": 2,
	} {
		_, err := parseBase([]byte(text))
		var n *notice.Error
		if !errors.As(err, &n) || n.Code != "base-dockerfile-syntax" || n.File != BaseFile {
			t.Errorf("%q: %v", text, err)
		} else if n.Line != line {
			t.Errorf("%q: line %d, want %d (%s)", text, n.Line, line, n.What)
		}
	}
}

func FuzzParseBase(f *testing.F) {
	f.Add([]byte("ARG A=b\nFROM ${A:-c} AS base\nCOPY --from=0 x y\n"))
	f.Add([]byte("FROM a\nFROM b\nCOPY --from=1 x y\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := parseBase(text)
		if err == nil && b.target == "" {
			t.Error("no target")
		}
	})
}

func TestDebianSuite(t *testing.T) {
	for image, want := range map[string]string{
		"debian": "trixie", "debian:latest": "trixie", "debian:stable-slim": "trixie", "debian:13": "trixie", "debian:13.2-slim": "trixie",
		"debian:trixie-20261117": "trixie", "docker.io/library/debian:trixie": "trixie", "library/debian:12": "bookworm",
		"debian:bookworm-slim": "bookworm", "debian:oldstable": "bookworm", "debian:11": "bullseye",
		"debian:sid": "", "debian:131": "", "ubuntu:24.04": "", "someone/debian:13": "", "example.org/debian:13": "", "UPPER": "",
		"debian@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": "",
	} {
		if got := debianSuite(image); got != want {
			t.Errorf("%s: %q, want %q", image, got, want)
		}
	}
}

func TestContextName(t *testing.T) {
	for image, want := range map[string]string{
		"debian": "debian", "debian:latest": "debian", "debian:trixie": "debian:trixie", "docker.io/library/debian:13": "debian:13",
		"example.org/a/b:c": "example.org/a/b:c",
	} {
		if got := contextName(image); got != want {
			t.Errorf("%s: %q, want %q", image, got, want)
		}
	}
}
