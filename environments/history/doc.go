// Package history remembers which packages a class asked for and got: a bare git
// repository of specs, manifests, tags and labels, worked by the git binary.
//
// Terms. An environment has two branches. ENV holds what was asked for: env.spec, the
// teacher's files word for word, and labels/LABEL.txt, each with the name of a tag.
// manifest/ENV holds what that came to: env.manifest, conda.lock, requirements.lock,
// apt.manifest, generation.json, and a copy of env.spec. A [Tag] names a commit of
// manifest/ENV. The names, the tags (env-ENV-YYYY_MM_DD, then -1, -2), the labels and
// env.manifest are those of conda-gitenv, whose repositories [Repository.Import] reads
// and [Repository.Export] writes; that tool ignores the other files.
//
// The history is not the truth about kernels: labels on disk are. It may be lost
// without stopping a lesson, and [Repository.Restore] makes it anew.
//
// Invariants:
//   - nothing enters a tree but regular text files whose names are on the list of
//     [Allowed], at most 1 MB each; a file that holds a password or a key is refused,
//     or, where it stands in an address, the secret goes to a 0600 file beside the
//     repository and a ${NAME} in its place
//   - there is no work tree, no index, no hook, no remote and no configuration but the
//     one given to each command
//   - objects are on disk before a branch names them, and a branch moves by one rename:
//     a cut leaves the old state or the new one. What is left over is not reachable
//   - one writer at a time: a flock beside the repository, held by the git commands
//     too, so that one that outlives its daemon keeps the next one waiting
//   - nothing is written when nothing changed
//   - tags are ordered by the commits they name; their dates may go back
//
// Reading takes one git process (cat-file --batch-command), which ends by itself a
// while after the last question; a write takes two more: index-pack, which checks what
// it is given, and update-ref. Each leaves a pack; many are joined by a later write.
package history
