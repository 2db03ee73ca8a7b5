// Package usbwatch notices that a teacher's folder changed.
//
// [Folder] watches a whole tree and says "something changed" once it has been quiet
// for a moment, because copying a folder or saving a file makes many events. A signal
// says nothing about what changed: the reader reads the folder again. Students' work,
// home/ and home_backup/ at the top of the folder, is not watched.
package usbwatch
