// Package custom reads the teacher's folder: once, whole, and without running
// any of it.
//
// Terms. The folder is what a teacher prepares: users.csv, requirements.txt,
// apt.txt, environment*.yml, base.Dockerfile, srv/, home_default/, shared/ and
// docker-compose.override.yml, each of them optional. A sub-folder that asks for
// packages is a course. A spec is what is asked for in one environment, from
// whatever files (doc/adr/0030). Content is what lies in home_default/ and
// shared/. A part is what changes together (see [Fingerprints]). home/ and
// home_backup/ are students' work and none of ours.
//
// Invariants:
//   - nothing in the folder is executed, and nothing outside it is opened, with
//     one exception that the caller asks for ([Options.OverrideBeside]);
//   - every problem is found in one go, as a notice with file and line;
//   - a [Folder] never changes after [Read], and what it was read from may be
//     pulled out;
//   - every size and count has a limit (limits.go), so that no folder makes the
//     box slow or full;
//   - modification times mean nothing: equal bytes, names and modes give equal
//     fingerprints.
//
// Where our meaning of a file differs from the old Conjuring project, a notice
// whose code starts with "legacy-" says so and names the row of the feature
// table (A10, E1, U2 ...).
package custom
