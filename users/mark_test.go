package users

import (
	"testing"
)

// A mark changes with a password that was chosen or given, and with nothing else.
func TestMark(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	r, _ := Parse("users.csv", []byte("user,password,admin\nanna,blue bicycle,\nben,,\n"))
	ctx := t.Context()
	if _, err := s.Apply(ctx, r); err != nil {
		t.Fatal(err)
	}
	if s.Mark("anna") != "" || s.Mark("ben") != "" || s.Mark("zoe") != "" {
		t.Error("a first password has a mark")
	}
	seen := map[string]bool{"": true}
	for range 3 {
		if err := s.SetPassword(ctx, "anna", "the very same", FromStudent); err != nil {
			t.Fatal(err)
		}
		m := s.Mark("Anna")
		if seen[m] || len(m) != 32 {
			t.Errorf("mark %q", m)
		}
		seen[m] = true
		if _, err := s.Authenticate(ctx, "anna", "the very same"); err != nil || s.Mark("anna") != m {
			t.Errorf("a login changes the mark: %v", err)
		}
	}
}
