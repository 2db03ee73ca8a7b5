// Package session knows who sits at the browser that asks for one of our own pages.
//
// JupyterHub knows it already, so nobody logs in twice: the browser is sent to the
// hub's OAuth page and comes back with a code (RFC 6749 §4.1, PKCE S256 of RFC
// 7636), which is turned into a name over the hub's socket. From then on a random
// cookie names an entry of a table in this process.
//
// Invariants.
//   - What somebody may do is asked of the roster at each request, never stored.
//   - The table holds hashes of the cookies; nothing of a session is written to disk.
//     A restarted daemon sends a browser through the hub once more, which nobody
//     notices while they are logged in there.
//   - A session ends with the hub's token, which the hub takes back at logout and when
//     an account is put out; it is asked again every few seconds of use.
//   - A code is only taken from the browser that began the login, and once.
//   - A browser that shows two cookies of ours has been given one by somebody else:
//     neither counts.
package session
