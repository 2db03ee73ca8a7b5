// Package engine is the one place that talks to the Docker Engine.
//
// It wraps github.com/moby/moby/client, the maintained name of docker/docker/client,
// in the handful of calls this product makes, from Engine 20.10 (API 1.41) on, with
// cgroups v1 or v2. Above it nobody sees a type of that library.
//
// Terms: an instance is one state directory's worth of objects. Each container and
// network we make carries [LabelInstance]; what does not carry ours is foreign, and
// is never listed, stopped or removed. Images are shared by nature: they are removed
// only by name, through [Engine.Untag], which never forces; a damaged one goes by
// [Engine.Discard].
//
// Errors a person can act on are [notice.Error] values: docker-absent, docker-stopped,
// docker-not-allowed, docker-too-old, docker-no-space, image-missing, name-taken,
// port-taken, docker-damaged. The others read "cannot X: cause".
package engine
