// Package gateway is the front door: the only HTTP listener of the class.
//
// Terms. A route is a path prefix and a target that JupyterHub put there through
// the REST API of configurable-http-proxy ([NewRoutesAPI]); a target is where
// requests below that prefix go: http://host:port, or a unix socket written as
// http+unix://%2fpath%2fto.sock. Our own paths, below /conjured/, are a separate
// fixed table.
//
// Invariants.
//   - The REST API can neither see nor shadow our own paths.
//   - The bytes of a request's path reach the target as they came; only the choice
//     of the route looks at the decoded path, segment by segment.
//   - A student controls the directory in which their server's socket lies, so a
//     socket is opened beneath an allowed directory, never through a symbolic
//     link, and dialled by that very descriptor.
//   - What a browser claims about who it is (X-Forwarded-*, X-Real-Ip, Forwarded)
//     is dropped and set anew.
//   - A browser that is known to be one person's is shown nobody else's server unasked,
//     and whatever a foreign server answers it is sandboxed ([Guard]).
//   - Until the class is ready every address answers the waiting page.
//   - Looking up a route takes no lock; a change copies one path of the table.
package gateway
