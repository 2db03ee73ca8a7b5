package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// Mount is a piece of the host's file system, or a named volume, in a container.
type Mount struct {
	Source, Target string // absolute paths; Source is a name when Volume is set
	ReadOnly       bool
	Volume         bool
	NoCreate       bool // refuse to start when Source is missing, rather than make a directory

	// Scratch lays a writable layer over Source, a directory that stays as it is.
	Scratch *Scratch
}

// Scratch is where the writable layer of a [Mount] is kept: two directories of one file
// system, absolute and without commas, colons and backslashes. Whoever made them removes them.
type Scratch struct{ Upper, Work string }

// Ulimit is one process limit ("nofile").
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// Device is a device node given to a container. Permissions "" means "rwm".
type Device struct{ Host, Container, Permissions string }

// DeviceRequest asks a device driver for devices. Count -1 means all of them.
type DeviceRequest struct {
	Driver       string
	Count        int
	IDs          []string
	Capabilities []string // all of them
	Options      map[string]string
}

// Port publishes a container's port. HostIP "" means every address, HostPort "" any
// free port, Protocol "" tcp.
type Port struct {
	HostIP        string
	HostPort      string
	ContainerPort int
	Protocol      string
}

// Spec describes one container. The zero value of a field means Docker's default.
type Spec struct {
	Name, Image, User, WorkDir, Hostname, Network string
	Runtime, StopSignal, IPCMode                  string
	Restart                                       string // "no", "always", "unless-stopped", "on-failure"

	Entrypoint, Cmd, Env, CapAdd, CapDrop, SecurityOpt []string
	GroupAdd, ExtraHosts, DNS, DNSSearch               []string
	NetworkAliases                                     []string

	Labels, Sysctls map[string]string
	Tmpfs           map[string]string // path -> options, "size=256m,mode=1777"

	Mounts         []Mount
	Ulimits        []Ulimit
	Devices        []Device
	DeviceRequests []DeviceRequest
	Ports          []Port

	ReadOnly, Init, Tty, Privileged bool

	Memory, MemorySwap, ShmSize int64 // bytes; MemorySwap is memory and swap together
	Pids                        int64 // processes and threads
	CPUs                        float64
	CPUShares                   int64 // weight against others when cores are short; 1024 is usual
	OOMScoreAdj                 int
	StopTimeout                 time.Duration // whole seconds
}

// options translates s for the client library.
func (s Spec) options(instance string) (client.ContainerCreateOptions, error) {
	cfg, err := s.config(instance)
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	host, err := s.hostConfig()
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	o := client.ContainerCreateOptions{Name: s.Name, Config: cfg, HostConfig: host}
	if len(s.NetworkAliases) > 0 && s.Network != "" {
		o.NetworkingConfig = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			s.Network: {Aliases: s.NetworkAliases},
		}}
	}
	return o, nil
}

func (s Spec) config(instance string) (*container.Config, error) {
	labels := map[string]string{}
	maps.Copy(labels, s.Labels)
	labels[LabelInstance] = instance
	c := &container.Config{
		Hostname: s.Hostname, User: s.User, Tty: s.Tty, Env: s.Env, Cmd: s.Cmd, Image: s.Image,
		WorkingDir: s.WorkDir, Entrypoint: s.Entrypoint, Labels: labels, StopSignal: s.StopSignal,
	}
	if s.StopTimeout > 0 {
		n := int(s.StopTimeout / time.Second)
		c.StopTimeout = &n
	}
	for _, p := range s.Ports {
		port, err := p.port()
		if err != nil {
			return nil, err
		}
		if c.ExposedPorts == nil {
			c.ExposedPorts = network.PortSet{}
		}
		c.ExposedPorts[port] = struct{}{}
	}
	return c, nil
}

func (s Spec) hostConfig() (*container.HostConfig, error) {
	h := &container.HostConfig{
		NetworkMode: container.NetworkMode(s.Network), CapAdd: s.CapAdd, CapDrop: s.CapDrop,
		DNSSearch: s.DNSSearch, ExtraHosts: s.ExtraHosts, GroupAdd: s.GroupAdd, IpcMode: container.IpcMode(s.IPCMode),
		OomScoreAdj: s.OOMScoreAdj, Privileged: s.Privileged, ReadonlyRootfs: s.ReadOnly, SecurityOpt: s.SecurityOpt,
		Tmpfs: s.Tmpfs, ShmSize: s.ShmSize, Sysctls: s.Sysctls, Runtime: s.Runtime,
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyMode(s.Restart)},
		Resources:     container.Resources{Memory: s.Memory, MemorySwap: s.MemorySwap, NanoCPUs: int64(s.CPUs * 1e9), CPUShares: s.CPUShares},
	}
	if s.Init {
		h.Init = &s.Init
	}
	if s.Pids != 0 {
		h.PidsLimit = &s.Pids
	}
	for _, a := range s.DNS {
		ip, err := netip.ParseAddr(a)
		if err != nil {
			return nil, fmt.Errorf("cannot use %q as a DNS server: %w", a, err)
		}
		h.DNS = append(h.DNS, ip)
	}
	s.addMounts(h)
	s.addDevices(h)
	return h, s.addPorts(h)
}

// addMounts uses the old bind syntax where the engine is to make a missing directory
// (mounts learn that only in API 1.42) and the mount syntax everywhere else; a path
// with a colon in it fits only the latter.
func (s Spec) addMounts(h *container.HostConfig) {
	for _, m := range s.Mounts {
		if m.Scratch != nil {
			h.Mounts = append(h.Mounts, m.overlay())
			continue
		}
		if !m.NoCreate && !m.Volume && !strings.Contains(m.Source+m.Target, ":") {
			bind := m.Source + ":" + m.Target
			if m.ReadOnly {
				bind += ":ro"
			}
			h.Binds = append(h.Binds, bind)
			continue
		}
		typ := mount.TypeBind
		if m.Volume {
			typ = mount.TypeVolume
		}
		h.Mounts = append(h.Mounts, mount.Mount{Type: typ, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
	}
}

func (s Spec) addDevices(h *container.HostConfig) {
	for _, u := range s.Ulimits {
		h.Ulimits = append(h.Ulimits, &container.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	for _, d := range s.Devices {
		perm := d.Permissions
		if perm == "" {
			perm = "rwm"
		}
		h.Devices = append(h.Devices, container.DeviceMapping{PathOnHost: d.Host, PathInContainer: d.Container, CgroupPermissions: perm})
	}
	for _, r := range s.DeviceRequests {
		h.DeviceRequests = append(h.DeviceRequests, container.DeviceRequest{
			Driver: r.Driver, Count: r.Count, DeviceIDs: r.IDs, Capabilities: [][]string{r.Capabilities}, Options: r.Options,
		})
	}
}

func (s Spec) addPorts(h *container.HostConfig) error {
	for _, p := range s.Ports {
		port, err := p.port()
		if err != nil {
			return err
		}
		b := network.PortBinding{HostPort: p.HostPort}
		if p.HostIP != "" {
			if b.HostIP, err = netip.ParseAddr(p.HostIP); err != nil {
				return fmt.Errorf("cannot publish port %d: %w", p.ContainerPort, err)
			}
		}
		if h.PortBindings == nil {
			h.PortBindings = network.PortMap{}
		}
		h.PortBindings[port] = append(h.PortBindings[port], b)
	}
	return nil
}

func (p Port) port() (network.Port, error) {
	proto := network.IPProtocol(p.Protocol)
	if proto == "" {
		proto = network.TCP
	}
	if p.ContainerPort < 1 || p.ContainerPort > 65535 {
		return network.Port{}, fmt.Errorf("cannot publish port %d: it is not between 1 and 65535", p.ContainerPort)
	}
	port, ok := network.PortFrom(uint16(p.ContainerPort), proto)
	if !ok {
		return network.Port{}, fmt.Errorf("cannot publish port %d/%s", p.ContainerPort, p.Protocol)
	}
	return port, nil
}
