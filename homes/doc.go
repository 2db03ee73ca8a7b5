// Package homes looks after students' files: it makes a home on first use, offers
// new default files to homes that exist, and keeps the shared folder as the teacher
// has it.
//
// Terms: a home is Dir/<user>, owned by the student's UID, mode 0700. The skeleton
// is the teacher's home_default folder. A file was given when it was once offered to
// a home; the record of that lies outside the home, so a file that the student
// deleted does not come back. Shared is the one directory that every server sees
// read-only as /shared.
//
// The student owns the home and is hostile while we work in it. So nothing below a
// home is ever opened by a path: each step opens one name under an open directory,
// never through a symbolic link, and nothing that exists is written, replaced or
// given another owner. Files appear whole or not at all, also across a power cut.
package homes
