package api

import "net/url"

// The paths, each with its method and the types of its bodies.
const (
	PathStatus       = "/v1/status"    // GET: Status
	PathApply        = "/v1/apply"     // POST Apply: Applied
	PathApplied      = "/v1/applied"   // GET /v1/applied/{id}: Result; answers when the setup serves or failed
	PathEvents       = "/v1/events"    // GET: progress.Event, one per line, until the client goes
	PathBuild        = "/v1/build"     // POST Build: Applied
	PathUsers        = "/v1/users"     // GET: Users; POST /v1/users/{name}/password Password: Password
	PathUsersLog     = "/v1/users/log" // GET ?user=&since=RFC 3339&follow=1: LogEntry, one per line, the oldest first
	PathEnvironments = "/v1/env"       // GET: Environments; POST /v1/env/{verb} EnvRequest: EnvReply
	PathClass        = "/v1/class"     // GET: Lesson; POST BeginClass: Lesson; POST /v1/class/end EndClass: Lesson
	PathClassEnd     = PathClass + "/end"
	PathStop         = "/v1/stop" // POST: nothing; the daemon begins to stop
)

// AppliedPath is where the outcome of the setup id is waited for.
func AppliedPath(id string) string { return PathApplied + "/" + url.PathEscape(id) }

// PasswordPath is where the password of the account name is set.
func PasswordPath(name string) string { return PathUsers + "/" + url.PathEscape(name) + "/password" }
