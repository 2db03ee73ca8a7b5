package custom

import (
	"fmt"
	"slices"
	"strings"
)

// repo2docker lists what repo2docker reads beyond our files (A16), and what stands for it here.
func repo2docker() map[string]string {
	return map[string]string{
		"install.R":     "for packages of R, name conda's (r-...) in environment.yml, or Debian's (r-cran-...) in apt.txt",
		"DESCRIPTION":   "for packages of R, name conda's (r-...) in environment.yml, or Debian's (r-cran-...) in apt.txt",
		"Pipfile":       "write the packages into requirements.txt",
		"setup.py":      "write the packages into requirements.txt, or put a wheel into the folder",
		"Project.toml":  "Julia is not supported yet",
		"Manifest.toml": "Julia is not supported yet",
		"REQUIRE":       "Julia is not supported yet",
		"default.nix":   "name Debian's packages in apt.txt",
		"postBuild":     "put what it prepares into home_default/ or shared/",
		"start":         "put what it prepares into home_default/ or shared/",
		"Dockerfile":    "call it base.Dockerfile and name its stage base",
	}
}

// others names the files that somebody may expect to count.
func (r *reader) others() {
	ours := []string{UsersCSV, CoursesCSV, RuntimeTXT, BaseDockerfile, AptTXT, RequirementsTXT, OverrideYML, SettingsYAML, SrvDir, HomeDefaultDir, SharedDir}
	for _, name := range r.top {
		if slices.Contains(ours, name) {
			continue
		}
		if i := slices.IndexFunc(ours, func(o string) bool { return similar(o) == similar(name) }); i >= 0 {
			r.warn("name-case", name, 0, fmt.Sprintf("%s is not read: the file's name is %s", short(name), ours[i]), "the class is made without it", "rename it to "+ours[i])
			continue
		}
		if o := nearName(name); o != "" {
			r.warn("name-case", name, 0, fmt.Sprintf("%s is not read: the file's name is %s", short(name), o), "the class is made without it", "rename it to "+o)
		}
	}
}

// nearName is the file that a teacher most probably meant by name, or "".
func nearName(name string) string {
	low := strings.ToLower(name)
	switch {
	case low == "requirement.txt" || low == "requirements.txt.txt" || low == "requirements":
		return RequirementsTXT
	case low == "apt.txt.txt" || low == "apt":
		return AptTXT
	case low == "user.csv" || low == "users.csv.txt" || low == "users.csv.csv" || low == "users.txt" || low == "users.xlsx" || low == "users.ods":
		return UsersCSV
	case low == "docker-compose.override.yaml" || low == "compose.override.yml" || low == "compose.override.yaml":
		return OverrideYML
	case low == "course.csv" || low == "courses.csv.txt" || low == "courses.csv.csv":
		return CoursesCSV
	case low == "conjured.yml":
		return SettingsYAML
	case !envFile.MatchString(name) && envFile.MatchString(low):
		return low
	}
	return ""
}
