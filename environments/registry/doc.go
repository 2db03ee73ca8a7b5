// Package registry keeps the environments of one box: it joins the generations on disk
// with their history in git, and has the verbs that people and the daemon use on both.
//
// Terms. What somebody wants is a [Wanted]. A verb answers with an [Outcome] per
// environment. The labels current, previous and next are managed: a change of the
// folder lands on next ([Registry.Prepare]), and promoting drops previous, makes current
// previous and next current. latest is the newest complete generation; it is computed
// and never stored. Any other label is the teacher's.
//
//	out, err := reg.Prepare(ctx, wanted, sink) // built, recorded, tagged, labelled next
//	out, err = reg.Settle(ctx, wanted.Env)     // promoted if the policy lets it, else waiting
//	out, err = reg.Rollback(ctx, "geo", "")    // the next kernel has yesterday's packages
//
// Invariants:
//   - labels on disk are the truth, because kernels start from them; git records them
//     afterwards. A history that cannot be written, or that is gone, costs a notice and
//     never a lesson: what is missing in it is written by the next verb on that
//     environment, or by Repair
//   - a generation, and what it was asked for with, is on disk before a label points at it
//   - a tag names a manifest, and a generation is a copy of one: a tag stands for the
//     newest complete generation of its manifest
//   - numbers order generations; the dates in tags decorate
//   - a rollback holds: the wish that is still in the folder does not undo it
//   - one environment that fails never keeps another one waiting
//   - a verb that has nothing to do writes nothing and starts no process
//   - one build at a time, and one change of labels and history at a time; whoever comes
//     second waits, and a rollback does not wait for a build
package registry
