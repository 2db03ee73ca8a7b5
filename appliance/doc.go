// Package appliance is the one owner of what the box should do and what it does.
//
// Terms. A [Setup] is everything a class runs, by the fingerprints of the teacher's
// folder's parts. A wish says which setup is wanted; [Desired] holds the newest one.
// [Actual] is what is known to be true. An [Action] is one step from Actual towards
// Desired; a [Worker] carries actions of one [Kind] out. A setup that has served is
// good. The fallback is the setup that serves when the first wish of a new box fails.
//
// One goroutine, [Appliance.Run], owns Desired and Actual. Events change only
// Desired, results change only Actual, and the pure function next holds every rule
// of order and safety. The loop saves before it acts, starts one goroutine per action
// and folds the results back in. Everybody else reads immutable snapshots.
//
// Invariants, each a property in this package's tests:
//   - nothing is deployed before its image and its environment are built and the
//     wished roster is applied;
//   - a failure never changes what serves;
//   - at most one action of a kind runs, and none outlives Run;
//   - after a power cut the last good setup serves again before anything is built;
//   - the newest wish that can work is served in the end.
//
// Contract with the caller of [Appliance.Wish]: the directory setups/<ID> is complete
// and synced (custom.Folder.Save) before the wish is made, and its modification time
// is renewed when it was there already, since Collect removes directories that are
// neither in [Action.Keep] nor younger than an hour.
package appliance
