package custom

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// convert turns one service of compose into ours, field by field, and asks the
// policy wherever a field reaches the machine.
type convert struct {
	*override

	project *types.Project
	from    types.ServiceConfig
	out     Service
}

func (c *convert) service() {
	s, o := c.from, &c.out
	o.Image, o.User, o.WorkDir, o.Hostname = s.Image, s.User, s.WorkingDir, s.Hostname
	o.Restart, o.StopSignal = s.Restart, s.StopSignal
	o.Entrypoint, o.Cmd = s.Entrypoint, s.Command
	o.CapDrop, o.GroupAdd, o.DNS, o.DNSSearch = s.CapDrop, s.GroupAdd, s.DNS, s.DNSSearch
	o.Labels, o.Sysctls = s.Labels, s.Sysctls
	o.ReadOnly, o.Init, o.Tty = s.ReadOnly, s.Init, s.Tty
	o.Memory, o.MemorySwap, o.ShmSize = int64(s.MemLimit), int64(s.MemSwapLimit), int64(s.ShmSize)
	o.Pids, o.CPUs, o.OOMScoreAdj = s.PidsLimit, float64(s.CPUS), int(s.OomScoreAdj)
	if s.StopGracePeriod != nil {
		o.StopGrace = time.Duration(*s.StopGracePeriod)
	}
	o.DependsOn = slices.Sorted(maps.Keys(s.DependsOn))
	for _, name := range o.DependsOn {
		if _, ok := c.project.Services[name]; !ok {
			c.refuse("override-value", c.at("depends_on"), fmt.Sprintf("services.%s waits for a service %q that does not exist", s.Name, short(name)), "check its name, or remove it")
		}
	}
	o.ExtraHosts = s.ExtraHosts.AsList(":")
	slices.Sort(o.ExtraHosts)
	c.environment()
	c.limits()
	c.mounts()
	c.ports()
	c.devices()
	c.power()
	c.ranges()
}

func (c *convert) at(key string) int { return c.line("services", c.from.Name, key) }

// deny refuses what reaches the machine. The text named is what to look for beneath key.
func (c *convert) deny(key, named, what, do string) {
	c.refuse("override-host", c.lineOf(named, "services", c.from.Name, key), fmt.Sprintf("services.%s.%s %s", c.from.Name, key, what), do)
}

// onlyPolicy is the advice for what the machine's administrator may allow.
const onlyPolicy = "remove it, or let the machine's administrator allow it in /etc/conjured/conjured.yaml (policy)"

func (c *convert) environment() {
	for name, v := range c.from.Environment {
		if v == nil {
			c.warn("override-environment", c.file, c.at("environment"), fmt.Sprintf("%s: services.%s.environment names %s without a value", OverrideYML, c.from.Name, short(name)),
				"it is left out: values of the machine's own environment are never used", "write "+short(name)+"=value, or give it a value in .env")
			continue
		}
		c.out.Env = append(c.out.Env, name+"="+*v)
	}
	slices.Sort(c.out.Env)
	if b := c.from.Build; b != nil {
		for name, v := range b.Args {
			if v == nil {
				continue
			}
			if c.out.BuildArgs == nil {
				c.out.BuildArgs = map[string]string{}
			}
			c.out.BuildArgs[name] = *v
		}
	}
}

func (c *convert) limits() {
	if d := c.from.Deploy; d != nil && d.Resources.Limits != nil {
		l := d.Resources.Limits
		c.out.Memory = cmp.Or(c.out.Memory, int64(l.MemoryBytes))
		c.out.CPUs = cmp.Or(c.out.CPUs, float64(l.NanoCPUs))
		c.out.Pids = cmp.Or(c.out.Pids, l.Pids)
	}
	for _, name := range slices.Sorted(maps.Keys(c.from.Ulimits)) {
		u := c.from.Ulimits[name]
		soft, hard := int64(u.Soft), int64(u.Hard)
		if u.Single != 0 {
			soft, hard = int64(u.Single), int64(u.Single)
		}
		c.out.Ulimits = append(c.out.Ulimits, Ulimit{Name: name, Soft: soft, Hard: hard})
	}
	for _, t := range c.from.Tmpfs {
		where, options, _ := strings.Cut(t, ":")
		c.tmpfs(where, options)
	}
}

func (c *convert) tmpfs(where, options string) {
	if !path.IsAbs(where) || path.Clean(where) != where || where == "/" {
		c.refuse("override-value", c.at("tmpfs"), fmt.Sprintf("services.%s: %q is no place for a tmpfs", c.from.Name, short(where)), "write an absolute path, such as /tmp")
		return
	}
	if c.out.Tmpfs == nil {
		c.out.Tmpfs = map[string]string{}
	}
	c.out.Tmpfs[where] = options
}

func (c *convert) mounts() {
	for _, v := range c.from.Volumes {
		m := Mount{Target: v.Target, ReadOnly: v.ReadOnly}
		if !path.IsAbs(v.Target) || path.Clean(v.Target) == "/" {
			c.refuse("override-value", c.at("volumes"), fmt.Sprintf("services.%s.volumes: %q is no place in a container", c.from.Name, short(v.Target)), "write an absolute path, such as /data")
			continue
		}
		switch v.Type {
		case types.VolumeTypeVolume:
			m.Volume = v.Source
			if _, ok := c.project.Volumes[v.Source]; !ok && v.Source != "" {
				c.refuse("override-value", c.lineOf(v.Target, "services", c.from.Name, "volumes"), fmt.Sprintf("services.%s.volumes names a volume %q that does not exist", c.from.Name, short(v.Source)), fmt.Sprintf("add at the end of the file: volumes: {%s: {}}", short(v.Source)))
			}
		case types.VolumeTypeTmpfs:
			var options []string
			if v.Tmpfs != nil && v.Tmpfs.Size > 0 {
				options = append(options, "size="+strconv.FormatInt(int64(v.Tmpfs.Size), 10))
			}
			if v.Tmpfs != nil && v.Tmpfs.Mode > 0 {
				options = append(options, "mode="+strconv.FormatUint(uint64(v.Tmpfs.Mode), 8))
			}
			c.tmpfs(v.Target, strings.Join(options, ","))
			continue
		case types.VolumeTypeBind:
			if !c.bind(v, &m) {
				continue
			}
		default:
			c.refuse("override-unsupported", c.at("volumes"), fmt.Sprintf("services.%s.volumes: a volume of type %s is not supported", c.from.Name, short(v.Type)), "use a named volume")
			continue
		}
		c.out.Mounts = append(c.out.Mounts, m)
	}
	slices.SortFunc(c.out.Mounts, func(a, b Mount) int { return cmp.Compare(a.Target, b.Target) })
}

// bind tells a folder of the class, written as ./custom/..., from a place on the machine.
func (c *convert) bind(v types.ServiceVolumeConfig, m *Mount) bool {
	if v.Bind != nil && (v.Bind.Propagation != "" || v.Bind.Recursive != "") {
		c.deny("volumes", v.Target, "changes mounts of the machine", "remove it")
		return false
	}
	m.NoCreate = v.Bind != nil && !bool(v.Bind.CreateHostPath)
	source := v.Source
	if !path.IsAbs(source) {
		clean := path.Clean(source)
		rest, ok := strings.CutPrefix(clean, "custom/")
		top, _, _ := strings.Cut(rest, "/")
		if ok && (top == SharedDir || top == HomeDefaultDir || rest == "home" && v.Target == "/home") {
			m.Content = rest
			return true
		}
		c.deny("volumes", v.Target, fmt.Sprintf("mounts %q, which is not shared/ or home_default/ of the folder", short(source)), "put the files into shared/, or use a named volume")
		return false
	}
	source = path.Clean(source)
	for _, socket := range []string{"docker.sock", "containerd.sock", "podman.sock", "api.sock"} {
		if path.Base(source) == socket {
			c.deny("volumes", v.Target, fmt.Sprintf("mounts %s, which gives power over the machine", short(source)), "remove it")
			return false
		}
	}
	allowed := slices.ContainsFunc(c.opt.Policy.HostPaths, func(p string) bool {
		p = path.Clean(p)
		return path.IsAbs(p) && p != "/" && (source == p || strings.HasPrefix(source, p+"/"))
	})
	if !allowed {
		c.deny("volumes", v.Target, fmt.Sprintf("mounts %s of the machine", short(source)), "put the files into shared/, use a named volume, or let the machine's administrator allow the path in /etc/conjured/conjured.yaml (policy)")
		return false
	}
	m.Host = source
	return true
}

func (c *convert) ports() {
	for _, p := range c.from.Ports {
		c.out.Ports = append(c.out.Ports, Port{HostIP: p.HostIP, HostPort: p.Published, ContainerPort: int(p.Target), Protocol: cmp.Or(p.Protocol, "tcp")})
	}
}

func (c *convert) devices() {
	for _, d := range c.from.Devices {
		if !slices.Contains(c.opt.Policy.Devices, d.Source) || path.Clean(d.Source) != d.Source {
			c.deny("devices", d.Source, fmt.Sprintf("asks for the device %s of the machine", short(d.Source)), "remove it; for a GPU write runtime: nvidia or gpus: all, for other devices ask the machine's administrator to allow them in /etc/conjured/conjured.yaml (policy)")
			continue
		}
		c.out.Devices = append(c.out.Devices, Device{Host: d.Source, Container: cmp.Or(d.Target, d.Source), Permissions: cmp.Or(d.Permissions, "rwm")})
	}
	requests := slices.Clone(c.from.Gpus)
	for i := range requests {
		if len(requests[i].Capabilities) == 0 {
			requests[i].Capabilities = []string{"gpu"}
		}
	}
	if d := c.from.Deploy; d != nil && d.Resources.Reservations != nil {
		requests = append(requests, d.Resources.Reservations.Devices...)
	}
	for _, q := range requests {
		if q.Driver != "" && q.Driver != "nvidia" || !slices.Contains(q.Capabilities, "gpu") && !slices.Contains(q.Capabilities, "nvidia") {
			c.deny("deploy", q.Driver, "reserves something that is no GPU", "remove it; only GPUs can be reserved: capabilities: [gpu]")
			continue
		}
		count := int(q.Count)
		if count == 0 && len(q.IDs) == 0 {
			count = -1
		}
		c.out.DeviceRequests = append(c.out.DeviceRequests, DeviceRequest{Driver: q.Driver, Count: count, IDs: q.IDs, Capabilities: q.Capabilities, Options: q.Options})
	}
}

// harmlessCapabilities give a container nothing that Docker would not give it anyway.
func harmlessCapabilities() []string {
	return []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"}
}

// power handles the fields that would make a container part of the machine.
func (c *convert) power() {
	s, policy := c.from, c.opt.Policy
	c.out.Privileged, c.out.NetworkHost = s.Privileged, s.NetworkMode == "host"
	c.out.HostPID, c.out.HostIPC = s.Pid == "host", s.Ipc == "host"
	c.out.Runtime = s.Runtime
	for _, d := range []struct {
		refused bool
		key     string
		what    string
	}{
		{s.Privileged && !policy.Privileged, "privileged", "gives a container all power over the machine"},
		{s.NetworkMode == "host" && !policy.HostNet, "network_mode", "gives a container the machine's network"},
		{s.Pid == "host" && !policy.HostPID, "pid", "shows a container all processes of the machine"},
		{s.Ipc == "host" && !policy.HostIPC, "ipc", "shares the machine's memory segments with a container"},
		{!slices.Contains([]string{"", "host", "bridge", "none", "default"}, s.NetworkMode), "network_mode", "joins another container's network"},
		{s.Pid != "" && s.Pid != "host", "pid", "joins another container"},
		{!slices.Contains([]string{"", "host", "private", "shareable"}, s.Ipc), "ipc", "joins another container"},
		{!slices.Contains([]string{"", "runc", "nvidia"}, s.Runtime), "runtime", "names a way of running that is neither nvidia nor runc"},
	} {
		if d.refused {
			c.deny(d.key, "", d.what, onlyPolicy)
		}
	}
	for _, name := range s.CapAdd {
		name = strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		if !slices.Contains(harmlessCapabilities(), name) && !slices.Contains(policy.CapAdd, name) {
			c.deny("cap_add", name, "asks for "+short(name), onlyPolicy)
			continue
		}
		c.out.CapAdd = append(c.out.CapAdd, name)
	}
	for _, opt := range s.SecurityOpt {
		if !strings.HasPrefix(opt, "no-new-privileges") && !policy.Privileged {
			c.deny("security_opt", opt, "turns off a protection: "+short(opt), onlyPolicy)
			continue
		}
		c.out.SecurityOpt = append(c.out.SecurityOpt, opt)
	}
	for name := range s.Sysctls {
		if !strings.HasPrefix(name, "net.") && !strings.HasPrefix(name, "fs.mqueue.") && !strings.HasPrefix(name, "kernel.shm") && !strings.HasPrefix(name, "kernel.msg") && name != "kernel.sem" {
			c.deny("sysctls", name, "sets "+short(name)+" of the whole machine", "remove it")
		}
	}
}

// ranges refuses numbers that no machine has.
func (c *convert) ranges() {
	o := c.out
	for _, d := range []struct {
		bad bool
		key string
	}{
		{o.Memory < 0 || o.Memory > 0 && o.Memory < 6<<20, "mem_limit"},
		{o.ShmSize < 0, "shm_size"},
		{o.CPUs < 0, "cpus"},
		{o.Pids < -1, "pids_limit"},
		{o.OOMScoreAdj < -1000 || o.OOMScoreAdj > 1000, "oom_score_adj"},
		{o.StopGrace < 0, "stop_grace_period"},
		{!slices.Contains([]string{"", "no", "always", "unless-stopped", "on-failure"}, o.Restart), "restart"},
	} {
		if d.bad {
			c.refuse("override-value", c.at(d.key), fmt.Sprintf("services.%s.%s has a value that does not fit", c.from.Name, d.key), "compare it with Docker's description of compose files")
		}
	}
	if o.OOMScoreAdj < 0 {
		c.deny("oom_score_adj", "", "protects a container at the cost of the machine", "remove it")
	}
}
