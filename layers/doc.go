// Package layers plans and builds the images of a class: base, core, system, latest.
//
// The root Dockerfile is what is built, by the BuildKit inside the Docker Engine with
// the Dockerfile front end in our own process, so that no front-end image is pulled
// and a 2023 engine understands today's syntax.
//
// Terms: base is an operating system (base.Dockerfile, or a Debian made here). Core is
// base with JupyterHub and Lab. System is core with the packages of apt.txt: students'
// servers run in it. Latest is system with the environments sealed in: complete by
// itself. A key is the hash of all that goes into an image; an image is called
// repository:key, and the names people use (base, core, system, latest, previous) move
// to it only after a smoke test of that very image has passed.
//
// Invariants: what is built is decided by [Plan], a value, from inputs and from which
// images are at hand; the same inputs give the same keys. A failed or killed build
// leaves every name where it was. Accounts, srv files and students' files never get
// into a build context. The machine's CA bundle is a build secret: it is in no layer,
// history or key.
package layers
