//! What is in `deploy/` names flags, variables, metrics, paths and ports that are there.
//!
//! Whether the files are well-formed to the tools that read them is checked with those tools; see `deploy/README.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    let path = top().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every file below a folder with its text.
fn texts(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![top().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).expect("it is text");
                found.push((path, text));
            }
        }
    }
    found
}

/// The words of a text that begin so.
fn words<'a>(text: &'a str, begin: &str, rest: fn(char) -> bool) -> BTreeSet<&'a str> {
    let starts = text.match_indices(begin).filter(|(at, _)| {
        let before = text[..*at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-".contains(c))
    });
    starts
        .map(|(at, _)| {
            let end =
                text[at + begin.len()..].find(|c| !rest(c)).map_or(text.len(), |end| at + begin.len() + end);
            text[at..end].trim_end_matches('-')
        })
        .filter(|word| word.len() > begin.len())
        .collect()
}

fn metric_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

/// Names that the server exports: every one is a literal in `metrics.rs` or a file below it.
fn exported() -> BTreeSet<String> {
    let mut code = read("crates/server/src/metrics.rs");
    texts("crates/server/src/metrics").into_iter().for_each(|(_, text)| code.push_str(&text));
    words(&code, "chronos_", metric_char).into_iter().map(str::to_owned).collect()
}

/// A histogram is queried by the names of its series.
fn family(name: &str) -> &str {
    ["_bucket", "_count", "_sum"].into_iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

#[test]
fn alerts_and_dashboard_use_only_metrics_that_there_are() {
    let exported = exported();
    let mut used = 0;
    for folder in ["deploy/prometheus", "deploy/grafana"] {
        for (path, text) in texts(folder) {
            for name in words(&text, "chronos_", metric_char) {
                let known = exported.contains(name) || exported.contains(family(name));
                assert!(known, "{} uses {name}, which no node exports", path.display());
                used += 1;
            }
        }
    }
    assert!(used > 40, "only {used} uses were found: the search is broken");
}

#[test]
fn a_metric_that_there_is_not_is_found() {
    let text = r#""expr": "sum(rate(chronos_appends_totl{a="b"}[1m])) / my_chronos_x""#;
    let names = words(text, "chronos_", metric_char);
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["chronos_appends_totl"]);
    assert!(!exported().contains("chronos_appends_totl"));
    assert!(exported().contains(family("chronos_append_seconds_bucket")));
}

/// `chronos server --help`, and what every command understands.
fn help() -> String {
    let of = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_chronos")).args(arguments).output().expect("it runs");
        String::from_utf8(output.stdout).expect("help is text")
    };
    of(&["server", "--help"]) + &of(&["watermarks", "--help"])
}

#[test]
fn deployments_use_only_flags_and_variables_that_there_are() {
    let help = help();
    let flags = words(&help, "--", |c| c.is_ascii_lowercase() || c == '-');
    let variables = words(&help, "CHRONOS_", |c| c.is_ascii_uppercase() || c == '_');
    // Of the files themselves: what is put behind the command line.
    let own = BTreeSet::from(["CHRONOS_ARGUMENTS"]);
    for folder in ["deploy/systemd", "deploy/container", "deploy/compose", "deploy/kubernetes"] {
        for (path, text) in texts(folder) {
            let place = path.display();
            let lines = text.lines().filter(|line| is_ours(line));
            let text = lines.collect::<Vec<_>>().join("\n");
            for flag in words(&text, "--", |c| c.is_ascii_lowercase() || c == '-') {
                assert!(flags.contains(flag), "{place} uses {flag}, which `chronos server` does not know");
            }
            for variable in words(&text, "CHRONOS_", |c| c.is_ascii_uppercase() || c == '_') {
                let known = variables.contains(variable) || own.contains(variable);
                assert!(known, "{place} sets {variable}, which `chronos server` does not read");
            }
        }
    }
}

/// Whether the flags of a line are meant for us, and not for some other program.
fn is_ours(line: &str) -> bool {
    let others =
        ["cargo", "useradd", "install ", "COPY", "HEALTHCHECK", "kubectl", "podman", "systemctl", "set --"];
    let ours = ["--bootstrap", "--join"];
    ours.iter().any(|flag| line.contains(flag)) || !others.iter().any(|other| line.contains(other))
}

/// The text that a configuration map has under a name.
fn mapped(name: &str) -> String {
    let manifest = read("deploy/kubernetes/chronos.yaml");
    let head = format!("  {name}: |\n");
    let from = manifest.find(&head).expect("the map has it") + head.len();
    let lines = manifest[from..].lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    lines.map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line))).collect()
}

/// What the server of a pod is started with.
fn started_with(pod: &str) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let script = mapped("start.sh").replace("exec chronos", "echo");
    fs::write(dir.path().join("start.sh"), script).expect("it can be written");
    let output = Command::new("sh")
        .arg(dir.path().join("start.sh"))
        .env("POD_NAME", pod)
        .env("POD_NAMESPACE", "default")
        .output()
        .expect("there is a shell");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("arguments are text")
}

#[test]
fn no_node_founds_a_cluster_without_looking_for_one() {
    let founder = started_with("chronos-0");
    assert!(founder.contains(" --bootstrap --join chronos-0.chronos-nodes.default.svc:7401,"), "{founder}");
    // By which it knows itself among them.
    assert!(founder.contains(" --advertise chronos-0.chronos-nodes.default.svc "), "{founder}");
    let other = started_with("chronos-1");
    assert!(other.contains(" --join ") && !other.contains("--bootstrap"), "{other}");
    for file in ["deploy/compose/compose.yaml", "deploy/systemd/node.env.example"] {
        let text = read(file);
        let founding = text.lines().filter(|line| !line.starts_with('#') && line.contains("--bootstrap"));
        let founding: Vec<&str> = founding.collect();
        assert!(founding.len() == 1 && founding[0].contains("--join"), "{file}: {founding:?}");
    }
}

#[test]
fn the_configuration_of_a_pod_is_one_that_a_server_takes() {
    let dir = tempfile::tempdir().expect("a directory");
    // Everything but where it would serve: a certificate that is not there must be the first thing it misses.
    let toml = mapped("chronos.toml")
        .replace("/var/lib/chronos", dir.path().join("data").to_str().expect("a path of text"));
    // Ports that are nobody else's.
    let toml = [":7400", ":7401", ":7402"].iter().fold(toml, |toml, port| toml.replace(port, ":0"));
    let file = dir.path().join("chronos.toml");
    fs::write(&file, toml).expect("it can be written");
    let output = Command::new(env!("CARGO_BIN_EXE_chronos"))
        .args([
            "server",
            "--name",
            "chronos-0",
            "--peer-listen",
            "0.0.0.0:0",
            "--advertise",
            "chronos-0.chronos-nodes",
            "--bootstrap",
            "--config",
        ])
        .arg(&file)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("/etc/chronos-peers/"), "{said}");
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/chronos.json")).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in panels {
        let title = &panel["title"];
        assert!(ids.insert(panel["id"].as_u64().expect("a number")), "{title} has the number of another");
        let at = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
        assert!(at("x") + at("w") <= 24, "{title} is too wide");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(cells.insert((x, y)), "{title} lies on another panel");
            }
        }
        if panel["type"] != "row" {
            let targets = panel["targets"].as_array().expect("it has queries");
            assert!(!targets.is_empty(), "{title} shows nothing");
            assert!(targets.iter().all(|target| target["expr"].is_string() && target["refId"].is_string()));
            assert!(panel["description"].is_string(), "{title} does not say what it shows");
        }
    }
}

#[test]
fn probes_ask_for_paths_that_are_served() {
    let routes = read("crates/server/src/http.rs");
    let manifest = read("deploy/kubernetes/chronos.yaml") + &read("deploy/prometheus/prometheus.yaml");
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert!(manifest.contains(path), "nobody asks for {path}");
        assert!(routes.contains(&format!("\"get\", \"{path}\"")), "{path} is not served");
    }
}
