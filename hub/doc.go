// Package hub runs the class: one JupyterHub container and one container for each
// student's server.
//
// Terms: the serving hub is the container that students talk to. A candidate is a
// second hub, with a directory of its own and an empty database, that shows whether
// a change would come up. A server is one student's Jupyter server, one container,
// known by an id made of user and server name. A student's place is the directory
// Run/servers/<id> where that server's socket lies.
//
// Invariants:
//   - The hub never holds the Docker socket. It asks, on Run/hub/ask.sock, who may
//     log in and for a server to start; what a server is made of is decided here.
//   - Everything travels over unix sockets; both hub and servers see the run
//     directory at the path it has on the host.
//   - A student controls what lies in their place, and the hub what lies in
//     Run/hub: a socket there is opened without following links (see dial).
//   - The serving hub is not touched until its candidate has answered, and comes
//     back when its successor does not.
//   - Whoever waits for a server has a place and keeps it; a lesson's servers are
//     ordered from JupyterHub like any other, behind those who wait (ADR 0023).
//   - Servers outlive the hub and the daemon. What runs is read from the engine;
//     only secrets and what the hub was last started from are kept on disk.
//
// The Python half (package python/conjured_hub: a spawner, an authenticator, the
// configuration and two pages) is part of this binary and is mounted into the hub's
// container, so that it always fits the daemon.
package hub
