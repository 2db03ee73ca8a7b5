// Package users turns the teacher's users.csv into accounts.
//
// Terms: a row is one line of users.csv that was understood; the roster is all
// rows of one file; an account is what the box remembers about a name, now and
// after its row is gone. A held name is one whose row has an error: its account
// stays exactly as it is until the row can be read.
//
// users.csv: UTF-8, one account per line, the columns user, password and admin by
// position, then any others (one headed "id" is kept, the rest are ignored). Line 1
// is always a heading. A cell may stand in double quotation marks (RFC 4180), but
// may not hold a line break, so a forgotten mark can spoil its own line only.
//
// A name is 1 to 31 bytes of letters, combining marks, digits and . _ - @ and
// begins with a letter, a digit or _ . It is put into Unicode form NFC and into
// lower case, as JupyterHub does at login, so one name is at the same time a
// login, a directory, and a part of an address.
//
// Invariants: the plain password of a row is never written to a disk; a UID
// (2000 and up) is saved before anybody can use it, does not depend on the order
// of rows, and is never given to another name; whoever logs in while the roster
// changes sees the accounts of before or of after, whole.
package users
