package users

import (
	"crypto/sha256"
	"encoding/hex"
)

// Mark names the password that an account was given, or chose, after users.csv: it
// changes with that password, so that whoever logged in with another one can be told
// apart. It is "" while the password is the one of users.csv or the box's first, whose
// hash is made anew without the password changing. No password can be guessed from
// it: its input holds 128 random bits.
func (s *Store) Mark(name string) string {
	r, ok := s.now.Load().byName[Normalise(name)]
	if !ok || r.Own == "" || r.OwnBy != FromStudent && r.OwnBy != FromTeacher {
		return ""
	}
	sum := sha256.Sum256([]byte("mark of a login\x00" + r.Own))
	return hex.EncodeToString(sum[:16])
}
