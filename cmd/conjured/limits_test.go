package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/conjuring/conjured/engine"
)

// The old keys mean students; a role's own keys win; a teacher starts from twice a
// student's memory and disk.
func TestLimits(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conjured.yaml")
	text := "limits:\n  memory_mb: 700\n  pids: 300\n  student: {pids: 200, open_files: 99}\n  teacher: {disk_mb: 5000, tmp_mb: 50}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := readSettings(file)
	if err != nil {
		t.Fatal(err)
	}
	l := s.Limits.forMachine(engine.Info{CPUs: 4, Memory: 16 << 30}, t.TempDir())
	a, b := l.student, l.teacher
	if a.Memory != 700<<20 || a.High >= a.Memory || a.Pids != 200 || a.Files != 99 || a.CPUs != 3.5 || a.Disk == 0 {
		t.Errorf("student: %+v", a)
	}
	if b.Memory != 1400<<20 || b.Pids != 200 || b.Disk != 5000<<20 || b.Tmp != 50<<20 {
		t.Errorf("teacher: %+v", b)
	}
	if err := os.WriteFile(file, []byte("limits: {teacher: {memry_mb: 5}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readSettings(file); err == nil {
		t.Error("a misspelt limit was ignored")
	}
}
