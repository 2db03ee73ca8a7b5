// Package environments makes the packages that a class works with: exactly locked,
// built beside what is in use, and put into use by one rename.
//
// Terms. An environment is what somebody asked for: its [Spec]. A [Manifest] is the
// exact list one gets, every file with its hash. A [Generation] is a frozen, tested
// copy of a manifest on this box. A [Label] (current, previous, or the teacher's own)
// points at a generation. A [Store] is the one directory that holds all of them; a
// [Builder] fills it, and runs whatever needs the class image through a [Runner].
// A [Kernel] is how Jupyter starts something in the generation a label points at.
//
// The directory is mounted as a whole, at the same path in every container:
//
//	gen/ENV/N/              a generation, built in place: a virtual environment, or a prefix
//	                        of conda with what pip brings on top
//	gen/ENV/N/ok            written last: the hash of generation.json
//	gen/ENV/N/variables.txt what the launcher sets for its programs, if there is anything
//	gen/ENV/N/lease         the launcher holds a shared flock on it
//	label/ENV/LABEL         -> ../../gen/ENV/N, replaced by rename(2)
//	kernels/NAME/kernel.json
//	users/USER/kernels/NAME -> ../../../kernels/NAME, for whom it is
//	hot/ENV/N               what kernels that run in N got since; at the end of their path
//	store/uv, store/wheel   uv's cache, and the teacher's own wheels by hash
//	store/conda             conda's packages unpacked, archives, lists: condastore.py
//	store/resolved          manifests by the hash of what was asked for
//	store/size/ENV/N        the files of a generation, counted once: size.go
//	store/inventory/ENV/N   what a generation consists of, for the next one: inventory.py
//	store/work              scratch of the build that runs now
//
// Invariants:
//   - a generation is complete if and only if ok matches generation.json; nothing in
//     it changes after that, and files are shared with others by hard links, so
//     nobody ever writes through a path inside one
//   - a label only ever points at a complete generation, and current, once there, is
//     never absent
//   - hot/ENV/N is empty when N becomes current: new kernels have what its manifest says
//   - numbers order generations; dates do not, because the box may have no clock
//   - how a generation was made is not visible in it: taken over from the one in use
//     and from the image's Lab set, or downloaded and compiled, its files are the same
//     (bytecode runs the same; for 2 of Lab's 3367 modules the image's has other bytes)
//   - code of a package runs only while a generation is verified: as nobody, without
//     network, with the directory read-only. Building one unpacks and compiles files,
//     and no more: no sdist, no link script, no start-up file (.pth) is executed. A
//     Python of conda that is not the image's compiles without network, and can write
//     to its own generation only. What conda runs when an environment is activated runs
//     once, before the generation is tried and like that
//   - what conda brings is not replaced by pip: both lines are named instead
//   - whoever fails leaves every label where it was
//   - one Builder works on a Store at a time
package environments
