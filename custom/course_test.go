package custom

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const class = "name,password,admin\nann,x,true\nbo,x,\ncy,x,\n"

func TestG4_courses(t *testing.T) {
	f, l := read(t, files{
		"users.csv":                  class,
		"geo-101/runtime.txt":        "python-3.11\n",
		"geo-101/apt.txt":            "tree gdal-bin\n",
		"apt.txt":                    "tree\n",
		"grove/" + GroveTXT:          "tutor\n./x-1-py3-none-any.whl\n",
		"grove/x-1-py3-none-any.whl": "PK", "bio/environment.yml": "name: wetlab\nchannels: [bioconda]\ndependencies: [samtools, pip: [-r requirements.txt]]\n",
		"bio/requirements.txt": "rich\n-r ../more.txt\n", "more.txt": "tabulate\n", "geo-101/requirements.txt": "gdal\n", "bio/runtime.txt": "python-3.9\n",
		// None of these is a course.
		"shared/requirements.txt": "x\n", "home/ann/requirements.txt": "x\n", "home_backup/requirements.txt": "x\n", "srv/requirements.txt": "x\n", ".git/requirements.txt": "x\n",
		"old/pyvenv.cfg": "", "old/requirements.txt": "x\n", "notes/readme.txt": "", "reqs/requirements.txt": "humanize\n", "requirements.txt": "-r reqs/requirements.txt\n", "my course/requirements.txt": "x\n",
	}, Options{})
	wantNoErrors(t, l)
	var got []string
	for _, s := range f.Environments() {
		got = append(got, s.Name+"|"+s.Display+"|"+s.Course+"|"+s.Python)
	}
	want(t, "environments", got, []string{"base|base||", "bio|bio|bio|", "geo_101|geo-101|geo-101|3.11", "grove|grove|grove|"})
	want(t, "bio", pipOf(spec(t, f, "bio")), []string{"rich", "tabulate"})
	want(t, "bio", condaOf(spec(t, f, "bio")), []string{"samtools"})
	want(t, "grove", spec(t, f, "grove").Wheels[0].Path, "grove/x-1-py3-none-any.whl")
	want(t, "apt", f.AptPackages(), []AptPackage{{Name: "tree", File: "apt.txt", Line: 1}, {Name: "gdal-bin", File: "geo-101/apt.txt", Line: 1}})
	wantNotice(t, l, sevInfo, "course-apt", "geo-101/apt.txt", 0)
	wantNotice(t, l, sevInfo, "course-file-name", "bio/environment.yml", 1)
	wantNotice(t, l, sevWarn, "runtime-loses", "bio/runtime.txt", 1)
	wantNotice(t, l, sevWarn, "course-name", "my course", 0)
	var kept []string
	for _, k := range spec(t, f, "geo_101").Files {
		kept = append(kept, k.Name+"="+string(k.Data))
	}
	want(t, "for the history", kept, []string{"apt.txt=tree gdal-bin\n", "requirements.txt=gdal\n", "runtime.txt=python-3.11\n"})
}

func TestG5_courseOwnsItsName(t *testing.T) {
	_, l := read(t, files{
		"environment-geo.yml": "", "geo/requirements.txt": "a\n", "bio_1/requirements.txt": "a\n", "bio-1/requirements.txt": "a\n", "base/requirements.txt": "a\n", "system/requirements.txt": "a\n",
		"a/environment.yml": "channels: [x]\n", "a/environment-b.yml": "", strings.Repeat("c", 33) + "/requirements.txt": "a\n",
	}, Options{})
	for _, dir := range []string{"geo", "bio_1", "base"} {
		wantNotice(t, l, sevError, "environment-collision", dir, 0)
	}
	wantNotice(t, l, sevWarn, "course-name", "system", 0)
	wantNotice(t, l, sevWarn, "course-name", strings.Repeat("c", 33), 0)
	wantNotice(t, l, sevWarn, "course-environment", "a/environment-b.yml", 0)
	for _, s := range []string{"geo of environment-geo.yml and the course geo have one name", "the course bio-1 and the course bio_1 differ only in how they are written"} {
		if !strings.Contains(dump(l), s) {
			t.Errorf("nothing says %q:\n%s", s, dump(l))
		}
	}
}

func TestCoursesCSV(t *testing.T) {
	all := files{
		"users.csv": class, "geo-101/requirements.txt": "", "bio/requirements.txt": "", "environment-art.yml": "", "open/requirements.txt": "", "staff/requirements.txt": "",
		"courses.csv": "course,student\ngeo-101, bo ,CY\nGEO_101,bo\nbio,bo\nbio,*\nart,cy\nstaff,teachers\n\n# none\ngeo-101,dora\ngeo-102,bo\nbase,bo\nart\nart,a b\n",
	}
	f, l := read(t, all, Options{})
	wantNoErrors(t, l)
	for name, students := range map[string][]string{"geo_101": {"ann", "bo", "cy", "dora"}, "bio": nil, "art": {"ann", "cy"}, "open": nil, "staff": {"ann"}, "base": nil} {
		want(t, name, spec(t, f, name).Students, students)
	}
	for line, code := range map[int]string{10: "courses-student", 11: "courses-course", 12: "courses-course", 13: "courses-student", 14: "courses-student"} {
		wantNotice(t, l, sevWarn, code, "courses.csv", line)
	}
	wantNotice(t, l, sevInfo, "courses-open", "open", 0)
	_, turned := read(t, all.with(files{"courses.csv": "student,course\nbo,geo-101\n,bio\n"}), Options{})
	for _, s := range []string{"line 2 has the student before the course", "write it as: geo-101,bo", "line 3 names no course"} {
		if !strings.Contains(dump(turned), s) {
			t.Errorf("nothing says %q:\n%s", s, dump(turned))
		}
	}
	for what, text := range map[string]string{"semicolons": "course;student\r\nbio;cy\r\n", "no heading": "bio,cy\n", "tabs": "Kurs\tName\nbio\tcy\n", "quotes": "course,student\n\"bio\",\"cy\"\n"} {
		f, l := read(t, all.with(files{"courses.csv": text}), Options{})
		wantNoErrors(t, l)
		want(t, what, spec(t, f, "bio").Students, []string{"ann", "cy"})
	}
	g, _ := read(t, all.with(files{"courses.csv": "course,student\nstaff,teachers\n"}), Options{})
	if g.Fingerprints().Kernels == f.Fingerprints().Kernels || g.Fingerprints().Environment != f.Fingerprints().Environment {
		t.Error("who sees a kernel belongs to Kernels alone")
	}
	_, l = read(t, all.with(files{"users.csv": "n,p,a\nbo,x,\n", "courses.csv": "course,student\nstaff,teachers\n"}), Options{})
	wantNoErrors(t, l)
}

func TestCoursesWithoutTeachersAreNobodys(t *testing.T) {
	f, _ := read(t, files{"users.csv": "n,p,a\nbo,x,\n", "staff/requirements.txt": "", "courses.csv": "course,student\nstaff,teachers\n"}, Options{})
	if s := spec(t, f, "staff").Students; s == nil || len(s) != 0 {
		t.Errorf("students %#v: nil would be everybody", s)
	}
}

func TestA16_binder(t *testing.T) {
	f, l := read(t, files{
		"binder/environment.yml": "name: demo\nchannels: [conda-forge]\ndependencies: [numpy]\n", "binder/requirements.txt": "a\n", "requirements.txt": "b\n", "binder/apt.txt": "tree\n",
		"binder/postBuild": "rm -rf /\n", "binder/Dockerfile": "FROM x\n", ".binder/apt.txt": "vim\n", "binder/runtime.txt": "python-3.9\n",
	}, Options{})
	wantNoErrors(t, l)
	base := spec(t, f, "base")
	want(t, "conda", condaOf(base), []string{"numpy"})
	want(t, "pip", pipOf(base), []string{"b"})
	want(t, "apt", len(f.AptPackages()), 1)
	want(t, "environments", len(f.Environments()), 1)
	wantNotice(t, l, sevWarn, "binder-file", "binder/requirements.txt", 0)
	wantNotice(t, l, sevWarn, "binder-twice", ".binder", 0)
	wantNotice(t, l, sevWarn, "repo2docker-ignored", "binder/postBuild", 0)
	wantNotice(t, l, sevWarn, "repo2docker-ignored", "binder/Dockerfile", 0)
	wantNotice(t, l, sevWarn, "runtime-loses", "binder/runtime.txt", 1)
}

func TestG7_runtime(t *testing.T) {
	for text, python := range map[string]string{"python-3.12": "3.12", "# mine\n\nPython-3.12.4 # new\n": "3.12", "python3.9\r\n": "3.9", "": ""} {
		f, l := read(t, files{"runtime.txt": text}, Options{})
		wantNoErrors(t, l)
		want(t, text, spec(t, f, "base").Python, python)
	}
	for text, conda := range map[string][]string{"r-4.4-2024-05-01": {"r-base=4.4", "r-irkernel"}, "r-2024-05-01": {"r-base", "r-irkernel"}, "r-4.4": {"r-base=4.4", "r-irkernel"}} {
		f, l := read(t, files{"stat/runtime.txt": text}, Options{})
		wantNoErrors(t, l)
		s := spec(t, f, "stat")
		want(t, text, condaOf(s), conda)
		want(t, text, s.Channels, []string{"conda-forge"})
		want(t, text, has(l, sevInfo, "runtime-date", "stat/runtime.txt", 1), strings.Contains(text, "2024"))
	}
	for text, code := range map[string]string{"python-2.7": "runtime-python", "python-3.6": "runtime-python", "3.12": "runtime-line", "r-": "runtime-line", "python-3.12; reboot": "runtime-line", "julia-1.10": "runtime-line", "python-4.0": "runtime-python"} {
		f, l := read(t, files{"runtime.txt": "\n" + text}, Options{})
		wantNotice(t, l, sevError, code, "runtime.txt", 2)
		want(t, text, spec(t, f, "base").Python, "")
	}
}

func TestCourseFoldersAreHostile(t *testing.T) {
	top := t.TempDir()
	files{"secret/requirements.txt": "geheim\n", "class/real/requirements.txt": "a\n", "class/two/runtime.txt": "python-3.12"}.write(t, top)
	dir := filepath.Join(top, "class")
	for name, target := range map[string]string{"out": "../secret", "in": "real", "gone": "nowhere", "two/requirements.txt": "../../secret/requirements.txt", "two/environment.yml": "../real/requirements.txt"} {
		must(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	must(t, unix.Mkfifo(filepath.Join(dir, "real/apt.txt"), 0o644))
	must(t, unix.Mkfifo(filepath.Join(dir, "real/uv.lock"), 0o644))
	must(t, unix.Mkfifo(filepath.Join(dir, "real/postBuild"), 0o644))
	f, l := Read(t.Context(), dir, Options{})
	wantNotice(t, l, sevWarn, "course-link", "in", 0)
	wantNotice(t, l, sevError, "link-leaves-folder", "two/requirements.txt", 0)
	wantNotice(t, l, sevError, "not-a-file", "real/apt.txt", 0)
	wantNotice(t, l, sevError, "not-a-file", "real/uv.lock", 0)
	want(t, "environments", len(f.Environments()), 3)
	if strings.Contains(dump(l), "geheim") || len(spec(t, f, "two").Pip) > 0 {
		t.Error("a file outside was read")
	}
}

func TestManyCourses(t *testing.T) {
	all := files{}
	for i := range MaxCourses + 1 {
		all[fmt.Sprintf("c%d/requirements.txt", i)] = "a\n"
	}
	f, l := read(t, all, Options{})
	wantNotice(t, l, sevError, "course-too-many", "c9", 0)
	want(t, "courses", len(f.Environments()), MaxCourses+1)
	big := files{"data/requirements.txt": "a\n"}
	for i := range MaxTopEntries {
		big[fmt.Sprintf("data/%d", i)] = ""
	}
	f, l = read(t, big, Options{})
	wantNotice(t, l, sevInfo, "course-data", "data", 0)
	want(t, "data", len(f.Environments()), 1)
}

// The lines of the channels are known, of the first file that describes an environment.
func TestChannelLines(t *testing.T) {
	f, _ := read(t, files{
		"environment-a.yml": "name: geo\nchannels:\n- conda-forge\n- bioconda\ndependencies: [python]\n",
		"environment-b.yml": "name: geo\nchannels: [pytorch]\ndependencies: [numpy]\n",
	}, Options{})
	s := spec(t, f, "geo")
	want(t, "channels", s.Channels, []string{"conda-forge", "bioconda", "pytorch"})
	want(t, "lines", s.ChannelLines, []int{3, 4, 0})
}
