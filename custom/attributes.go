package custom

import (
	"strings"
	"sync"

	attribute "github.com/compose-spec/compose-go/v2/tree"
)

// supported lists what of a compose file has a meaning here, one path for each.
// "*" stands for any key, "[]" for any item. Everything else is an error with file
// and line: an override that is followed in part is worse than one that is refused.
var supported = sync.OnceValue(func() []attribute.Path {
	service := strings.Fields(`
		image user working_dir hostname container_name runtime restart stop_signal stop_grace_period
		entrypoint entrypoint.[] command command.[] environment environment.* environment.[]
		cap_add cap_add.[] cap_drop cap_drop.[] security_opt security_opt.[] group_add group_add.[]
		extra_hosts extra_hosts.* extra_hosts.*.[] extra_hosts.[] dns dns.[] dns_search dns_search.[]
		depends_on depends_on.[] depends_on.*.condition depends_on.*.required depends_on.*.restart
		labels labels.* labels.[] sysctls sysctls.* sysctls.[] tmpfs tmpfs.[]
		build.args build.args.* build.args.[]
		volumes.[] volumes.[].type volumes.[].source volumes.[].target volumes.[].read_only
		volumes.[].consistency volumes.[].bind.create_host_path volumes.[].tmpfs.size volumes.[].tmpfs.mode
		ulimits.* ulimits.*.soft ulimits.*.hard ulimits.*.single
		devices.[] devices.[].source devices.[].target devices.[].permissions
		deploy.resources.limits.cpus deploy.resources.limits.memory deploy.resources.limits.pids
		deploy.resources.reservations.devices.[].driver deploy.resources.reservations.devices.[].count
		deploy.resources.reservations.devices.[].device_ids.[]
		deploy.resources.reservations.devices.[].capabilities.[]
		deploy.resources.reservations.devices.[].options.*
		gpus gpus.[].driver gpus.[].count gpus.[].device_ids.[] gpus.[].capabilities.[] gpus.[].options.*
		ports.[] ports.[].target ports.[].published ports.[].host_ip ports.[].protocol ports.[].mode
		expose.[] read_only init tty stdin_open privileged network_mode pid ipc
		mem_limit memswap_limit shm_size pids_limit cpus oom_score_adj`)
	out := []attribute.Path{"version", "name", "volumes.*", "volumes.*.name", "volumes.*.driver", "volumes.*.labels", "volumes.*.labels.*", "volumes.*.labels.[]"}
	for _, p := range service {
		out = append(out, attribute.Path("services.*."+p))
	}
	return out
})

// supportedParts is supported, taken apart.
var supportedParts = sync.OnceValue(func() [][]string {
	var out [][]string
	for _, p := range supported() {
		out = append(out, p.Parts())
	}
	return out
})

// ownAttributes is what compose.yaml and compose's canonical form add to supported.
func ownAttributes() []attribute.Path {
	return []attribute.Path{
		"services.*.build.context", "services.*.build.dockerfile", "services.*.build.target",
		"services.*.name", "services.*.networks", "networks",
		"services.*.volumes.[].bind", "services.*.volumes.[].volume", "services.*.volumes.[].tmpfs",
	}
}

// supportedPath tells whether at is supported, or leads to what is.
func supportedPath(at []string) bool { return matches(at, false) }

// supportedLeaf tells whether at itself is supported, so that a plain value may stand there.
func supportedLeaf(at []string) bool { return matches(at, true) }

func matches(at []string, whole bool) bool {
	for _, parts := range supportedParts() {
		if len(at) > len(parts) || whole && len(at) != len(parts) {
			continue
		}
		match := true
		for i, a := range at {
			match = match && (parts[i] == a || parts[i] == "*")
		}
		if match {
			return true
		}
	}
	return false
}

// hostKeys are the ways to the machine that no policy opens.
func hostKeys() map[string]string {
	return map[string]string{
		"userns_mode":         "changes who a container's root is on the machine",
		"uts":                 "shares the machine's name with a container",
		"cgroup":              "shares the machine's control groups with a container",
		"cgroup_parent":       "takes a container out of the machine's limits",
		"device_cgroup_rules": "gives a container devices of the machine",
		"volumes_from":        "takes the volumes of another container",
		"use_api_socket":      "gives a container power over Docker and so over the machine",
		"driver_opts":         "can mount any folder of the machine",
		"external":            "uses a volume of somebody else",
		"propagation":         "changes mounts of the machine",
	}
}

// fileKeys name other files, which would have to be opened.
func fileKeys() map[string]string {
	return map[string]string{
		"include":    "reads another file",
		"extends":    "reads another file",
		"env_file":   "reads another file",
		"label_file": "reads another file",
		"configs":    "reads another file",
		"secrets":    "reads another file",
		"context":    "builds from another folder",
		"dockerfile": "builds from another file",
	}
}

// nearKey is the supported key that was most probably meant, or "".
func nearKey(at []string) string {
	best, distance := "", 3
	last := at[len(at)-1]
	for _, parts := range supportedParts() {
		if len(parts) < len(at) {
			continue
		}
		same := true
		for i := range len(at) - 1 {
			same = same && (parts[i] == at[i] || parts[i] == "*")
		}
		if key := parts[len(at)-1]; same && key != "*" && key != "[]" {
			if d := editDistance(key, last); d < distance {
				best, distance = key, d
			}
		}
	}
	return best
}

// editDistance is how many letters must be changed, added or removed.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
