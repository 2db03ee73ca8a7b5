package custom

// Limits of what a folder may hold. They are far above any real class and low
// enough that reading the worst folder takes seconds and little memory.
const (
	MaxText          = 1 << 20   // bytes of one text file at the top of the folder, or named by one
	MaxUsersCSV      = 4 << 20   // bytes of users.csv
	MaxYAML          = 256 << 10 // bytes of one environment*.yml or override
	MaxYAMLNodes     = 20_000    // values in one YAML file
	MaxOverrideNodes = 3000      // values in the override: merging takes time by their square
	MaxYAMLDepth     = 40        // values inside values in one YAML file
	MaxLine          = 4096      // bytes of one line in apt.txt, requirements.txt and base.Dockerfile
	MaxPackages      = 2000      // packages in apt.txt, or requirements in all requirement files
	MaxIncludes      = 50        // files reached by -r and -c
	MaxLock          = 4 << 20   // bytes of a file of exact versions, such as uv.lock
	MaxTotalLocks    = 16 << 20  // bytes of all of them
	MaxLockNodes     = 400_000   // values in one of them that is YAML
	MaxEnvironment   = 50        // environment*.yml files
	MaxCourses       = 50        // folders of courses
	MaxMembers       = 20_000    // rows of courses.csv
	MaxEnvName       = 32        // letters of an environment's name as directories and branches have it
	MaxChannels      = 10        // conda channels of one environment
	MaxHistoryFile   = 1 << 20   // bytes of one file that the history of environments keeps
	MaxSrvFiles      = 500       // files in srv/
	MaxSrvFile       = 4 << 20   // bytes of one file in srv/
	MaxSrvTotal      = 32 << 20  // bytes of all files in srv/
	MaxWheel         = 512 << 20 // bytes of one local wheel
	MaxTopEntries    = 2000      // names directly in the folder
	MaxEntries       = 50_000    // files, directories and links in home_default/ and shared/ together
	MaxDepth         = 32        // directories inside directories
	MaxPath          = 1024      // bytes of one path, relative to the folder
	MaxFile          = 4 << 30   // bytes of one file in home_default/ and shared/
	MaxContent       = 16 << 30  // bytes of home_default/ and shared/ together
	MaxServices      = 20        // services that the override adds
	MaxNotices       = 20        // notices of one code about one file or tree; the last says how many more there were
)
