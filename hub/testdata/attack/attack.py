"""What a student may try, from a kernel or a terminal of their own server.

Each row says what was got; None means refused. A row whose name begins with
"control: " must get something: it shows that the way of asking works. Parameters
come as JSON in the first argument's file, results go to the second's, one line each.
"""

import ctypes
import errno
import fcntl
import glob
import json
import os
import resource
import socket
import stat
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

libc = ctypes.CDLL(None, use_errno=True)
P = {}
ROWS = []  # (group, name, how)


def row(group, name):
    def add(f):
        ROWS.append((group, name, f))
        return f

    return add


def each(group, name, things):
    """A row for each thing; what it is becomes part of the name."""

    def add(f):
        for t in things:
            ROWS.append((group, f"{name} {t}", lambda t=t: f(t)))
        return f

    return add


def syscall(number, *args):
    ctypes.set_errno(0)
    r = libc.syscall(number, *args)
    return None if r < 0 else f"system call {number} gave {r}"


# ---- files of others, and of the class


def opens(path, flags):
    fd = os.open(path, flags | os.O_NONBLOCK)
    os.close(fd)
    return f"opened {path}"


def lists(path):
    names = os.listdir(path)
    return f"listed {path}: {names[:5]}" if names else None


def file_rows():
    n, run, homes = P["neighbour"], P["run"], P["homes"]
    for path in (f"/home/{n}", f"{homes}/{n}", f"/proc/1/root{homes}/{n}", f"/home/../home/{n}", f"/proc/self/cwd/../{n}",
                 homes, f"{run}/private", f"{run}/hub", f"{run}/candidate", f"{run}/servers/{P['neighbour_id']}",
                 "/var/lib/docker", "/var/lib/conjured", "/root", "/proc/1/cwd/../../root"):
        ROWS.append(("homes and state", f"list {path}", lambda p=path: lists(p)))
    for path in (f"/home/{n}/secret.txt", f"{homes}/{n}/secret.txt", f"{run}/private/{P['neighbour_id']}/token",
                 f"{run}/private/{P['own_id']}/token", f"{run}/hub/secrets.json", "/etc/shadow", "/etc/gshadow",
                 "/var/lib/conjured/hub/secrets.json", "/etc/conjured/conjured.yaml"):
        ROWS.append(("homes and state", f"read {path}", lambda p=path: opens(p, os.O_RDONLY)))
    for path in ("/shared/evil", "/opt/conjured/env/evil", "/opt/conjured/bin/launch", "/etc/passwd", "/etc/group", "/etc/hosts",
                 "/etc/resolv.conf", "/etc/hostname", "/etc/ld.so.preload", "/usr/bin/python3", "/usr/local/bin/evil", "/bin/bash",
                 "/home/evil", f"/home/{n}/evil", f"{run}/upstream/evil", f"{run}/servers/evil", f"{run}/evil", "/proc/1/exe",
                 "/dev/init", "/sbin/docker-init", "/var/spool/cron/evil", "/lib/evil.so", sys.executable):
        ROWS.append(("writes", f"write {path}", lambda p=path: opens(p, os.O_WRONLY | os.O_CREAT)))
    own = f"{run}/servers/{P['own_id']}"
    ROWS.append(("writes", "a file beside the own socket", lambda: opens(f"{own}/evil", os.O_WRONLY | os.O_CREAT)))
    ROWS.append(("writes", "a link beside the own socket", lambda: os.symlink("/run/docker.sock", f"{own}/evil.sock") or "made"))
    ROWS.append(("writes", "move the own socket away", lambda: os.rename(f"{own}/s.sock", f"{own}/t.sock") or "moved"))
    ROWS.append(("writes", "remove the own socket", lambda: os.unlink(f"{own}/s.sock") or "removed"))
    for path in ("/shared/lesson.txt", "/opt/conjured/env/label/base/current", sys.executable, "/etc/passwd", f"{run}/upstream/hub-api.sock"):
        ROWS.append(("writes", f"hard link to {path}", lambda p=path: hard_link(p)))
        ROWS.append(("writes", f"remove {path}", lambda p=path: os.unlink(p) or "removed"))
        ROWS.append(("writes", f"chmod {path}", lambda p=path: os.chmod(p, 0o777) or "changed"))
        ROWS.append(("writes", f"rename {path}", lambda p=path: os.rename(p, os.path.expanduser("~/stolen")) or "moved"))


def hard_link(path):
    to = os.path.join(P["home"], ".stolen-link")
    os.link(path, to)
    os.unlink(to)
    return "linked"


@row("control", "control: write and read in the own home")
def own_home():
    path = os.path.join(P["home"], ".attack-control")
    with open(path, "w") as f:
        f.write("x")
    os.unlink(path)
    return "wrote"


@row("control", "control: read /shared/lesson.txt")
def own_shared():
    return open("/shared/lesson.txt").read() or None


@row("writes", "files open in the server that lead out of the container")
def leaks():
    own = os.stat("/").st_dev
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if stat.S_ISDIR(os.stat(link).st_mode) and os.path.exists(f"{link}/../../../../../../../etc/shadow"):
                if os.stat(f"{link}/../../../../../../..").st_dev != own:
                    return f"{link} -> {os.readlink(link)}"
        except OSError:
            pass
    return None


# ---- sockets of the class and of the machine


def unix_connect(path, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_UNIX, kind) as s:
        s.settimeout(2)
        s.connect(path)
        return f"connected to {path!r}"


def socket_rows():
    run, nid = P["run"], P["neighbour_id"]
    for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock",
                 "/run/dbus/system_bus_socket", "/run/systemd/private", f"{run}/api.sock", f"{run}/hub/hub.sock", f"{run}/hub/ask.sock",
                 f"{run}/hub/proxy.sock", f"{run}/servers/{nid}/s.sock", f"{run}/upstream/../servers/{nid}/s.sock",
                 f"{run}/upstream/../hub/ask.sock", f"/proc/1/root{run}/api.sock", f"/proc/1/root{run}/servers/{nid}/s.sock",
                 "\0" + P["abstract"]):
        ROWS.append(("unix sockets", f"connect to {path!r}", lambda p=path: unix_connect(p)))
    ROWS.append(("unix sockets", "sockets of others in /proc/net/unix", other_sockets))
    ROWS.append(("control", "control: connect to the hub's API", lambda: unix_connect(f"{run}/upstream/hub-api.sock")))


def other_sockets():
    for line in open("/proc/net/unix"):
        if "@" + P["abstract"] in line or "docker.sock" in line or P["neighbour_id"] in line:
            return line.strip()
    return None


# ---- the network


def tcp(host, port):
    with socket.create_connection((host, port), timeout=1.5) as s:
        s.settimeout(1)
        try:
            said = s.recv(64)
        except TimeoutError:
            said = b""
        return f"connected to {host}:{port} {said!r}"


def udp(host, port, broadcast=False):
    """Refused is told by who would have received it; here only an answer counts."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        if broadcast:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.sendto(P["knock"].encode(), (host, port))
        return f"{host}:{port} answered {s.recv(64)!r}"


def ping(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as s:
        s.settimeout(1)
        s.sendto(struct.pack("!BBHHH", 8, 0, 0, 1, 1) + b"x" * 8, (host, 1))
        return f"{host} answered a ping: {s.recv(64)[:8]!r}"


PORTS = (22, 53, 80, 111, 443, 2049, 2375, 2376, 3128, 5000, 5353, 5432, 6443, 8000, 8080, 8888, 8989, 9323, 10250)


def network_rows():
    port = P["port"]
    machine = [P["gateway"], *P["machine"], "127.0.0.1", "127.0.0.53"]
    for host in machine:
        ROWS.append(("the machine", f"tcp {host}:{port}", lambda h=host: tcp(h, port)))
        ROWS.append(("the machine", f"udp {host}:{port}", lambda h=host: udp(h, port)))
    for p in PORTS:
        ROWS.append(("the machine", f"tcp gateway {P['gateway']}:{p}", lambda p=p: tcp(P["gateway"], p)))
    ROWS.append(("the machine", "ping the gateway", lambda: ping(P["gateway"])))
    ROWS.append(("the machine", "host.docker.internal", lambda: tcp("host.docker.internal", port)))
    for ip in P["neighbours"]:
        for p in (P["neighbour_port"], 22, 80, 8888, 8889):
            ROWS.append(("other students", f"tcp {ip}:{p}", lambda h=ip, p=p: tcp(h, p)))
        ROWS.append(("other students", f"udp {ip}", lambda h=ip: udp(h, P["neighbour_port"])))
        ROWS.append(("other students", f"ping {ip}", lambda h=ip: ping(h)))
    for name in (P["neighbour_container"], P["neighbour"], "hub"):
        ROWS.append(("other students", f"tcp to {name!r} by name", lambda n=name: tcp(n, P["neighbour_port"])))
    for host in (P["lan"], *P["lan_also"]):
        ROWS.append(("the school's network", f"tcp {host}", lambda h=host: tcp(h, P["lan_port"])))
        ROWS.append(("the school's network", f"udp {host}", lambda h=host: udp(h, P["lan_port"])))
        ROWS.append(("the school's network", f"ping {host}", lambda h=host: ping(h)))
    for host in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "169.254.0.1"):
        ROWS.append(("cloud metadata", f"http {host}", lambda h=host: tcp(h, 80)))
    for host in ("255.255.255.255", P["broadcast"], "224.0.0.251", "239.255.255.250"):
        ROWS.append(("the school's network", f"broadcast {host}", lambda h=host: udp(h, port, True)))


@each("ipv6", "tcp", ["fd00:ec2::254", "fe80::1%eth0", "ff02::1%eth0", "::ffff:169.254.169.254", "fd00::1"])
def tcp6(host):
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
        s.settimeout(1.5)
        s.connect((socket.getaddrinfo(host, 80, socket.AF_INET6, socket.SOCK_STREAM))[0][4])
        return "connected"


@row("ipv6", "an address of its own on the bridge")
def has6():
    return next((line for line in open("/proc/net/if_inet6") if not line.rstrip().endswith(" lo")), None)


@row("control", "control: tcp to itself")
def tcp_self():
    with socket.create_server(("127.0.0.1", 0)) as s:
        threading.Thread(target=lambda: s.accept()[0].sendall(b"hello"), daemon=True).start()
        return tcp("127.0.0.1", s.getsockname()[1])


KINDS = {
    "ip raw": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "ip raw tcp": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP),
    "ip raw any": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
    "ipv6 raw": (socket.AF_INET6, socket.SOCK_RAW, 58),
    "packet": (socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)),
    "packet cooked": (socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)),
    "netlink audit": (socket.AF_NETLINK, socket.SOCK_RAW, 9),
}


@each("raw sockets", "open", KINDS)
def raw(kind):
    with socket.socket(*KINDS[kind]) as s:
        if kind == "netlink audit":
            s.settimeout(1)
            s.sendto(struct.pack("=IHHII", 16, 1001, 5, 1, 0), (0, 0))  # set audit status, acknowledged
            answer = s.recv(128)
            return None if struct.unpack_from("=i", answer, 16)[0] != 0 else "audit answered"
        return "opened"


@row("raw sockets", "vsock to the hypervisor")
def vsock():
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as s:
        s.settimeout(1.5)
        s.connect((2, 22))
        return "connected"


@row("raw sockets", "bring an interface down")
def link_down():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"eth0", 0))
        return "down"


@row("raw sockets", "add an address")
def add_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8916, struct.pack("16sHH4s8x", b"eth0", socket.AF_INET, 0, socket.inet_aton("169.254.1.1")))
        return "set"


@row("raw sockets", "read the machine's firewall")
def firewall():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as s:  # netfilter
        s.settimeout(1)
        s.sendto(struct.pack("=IHHIIBBH", 20, 0xA01, 0x301, 1, 0, 0, 0, 0), (0, 0))  # list tables
        answer = s.recv(4096)
        kind = struct.unpack_from("=H", answer, 4)[0]
        return "listed tables" if kind == 0xA00 else None
