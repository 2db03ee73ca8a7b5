// Package desk is the two pages of the front door that are about people:
// /conjured/account, where everybody sees their own servers and changes their
// password, and /conjured/teach, where a teacher sees the class and acts on it.
//
// Terms. A part is a piece of a page with an id of its own; the stream
// /conjured/teach/live sends the parts that changed. An act is what a button of the
// teacher's page asks for, written as a verb and a name.
//
// Invariants.
//   - Each page works without a script: a form is posted, a redirect answers, and the
//     next page says what was done. Scripts only save the reloading.
//   - Nothing is done for a request that is not meant (see session.Meant), and nothing
//     for a teacher who is no teacher any more: the roster is asked at each request,
//     and again while a stream runs.
//   - A new password is shown to the session that asked for it, for a few minutes, and
//     kept nowhere else. To give one the teacher types their own.
//   - Parts hold no token: what a stream sends can be read, not used.
package desk
