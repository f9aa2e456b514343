use std::io::Write;

use clap::FromArgMatches;
use stockd_model::limits;

use super::*;

/// The settings that hold with this file, environment and flags.
fn load(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> Result<Settings, String> {
    let mut path = tempfile::NamedTempFile::new().unwrap();
    path.write_all(file.as_bytes()).unwrap();
    let command = SettingFlags::augment_args(Command::new("serve").no_binary_name(true));
    let matches = command.try_get_matches_from(flags).map_err(|error| error.to_string())?;
    let mut flags = SettingFlags::from_arg_matches(&matches).unwrap();
    flags.config = Some(path.path().to_owned());
    let environment = environment.iter().map(|&(name, value)| (name.into(), value.into()));
    Settings::load(&flags, environment).map_err(|error| {
        error.to_string().replace(&path.path().display().to_string(), "stockd.toml")
    })
}

#[test]
fn what_config_prints_is_the_defaults() {
    let printed = default_file();
    assert_eq!(load(&printed, &[], &[]), Ok(Settings::default()));
    assert_eq!(file::parse(&printed).unwrap_or_default().len(), 0);

    let is_setting = |line: &&str| line.starts_with('#') && !line.starts_with("# ");
    let uncommented: String =
        printed.lines().filter(is_setting).map(|line| format!("{}\n", &line[1..])).collect();
    assert_eq!(uncommented.lines().count(), TABLE.len());
    assert_eq!(load(&uncommented, &[], &[]), Ok(Settings::default()));
}

#[test]
fn the_defaults_are_the_limits() {
    let settings = Settings::default();
    assert_eq!(settings.connections_max, limits::CONNECTIONS_MAX);
    assert_eq!(settings.stalled_timeout, limits::STALLED_CLIENT_TIMEOUT);
    assert_eq!(settings.streams_max, limits::STREAMS_MAX);
}

#[test]
fn every_setting_is_in_the_operating_manual() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operating.md");
    let manual = std::fs::read_to_string(path).unwrap();
    for setting in TABLE {
        for name in [setting.key.to_owned(), setting.flag(), setting.variable()] {
            assert!(manual.contains(&format!("`{name}`")), "{name} is not in operating.md");
        }
    }
}

#[test]
fn every_part_that_can_be_left_out_is_in_the_operating_manual() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let read = |path: &str| std::fs::read_to_string(format!("{root}{path}")).unwrap();
    let (manifest, manual) = (read("Cargo.toml"), read("../../docs/operating.md"));
    let (_, section) = manual.split_once("\n## A smaller binary\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let parts = manifest.lines().find_map(|line| line.strip_prefix("default = [")).unwrap();
    let parts: Vec<&str> = parts.split('"').skip(1).step_by(2).collect();
    assert!(parts.len() >= 2, "{parts:?}");
    for part in parts {
        assert!(section.contains(&format!("`{part}` (")), "{part} is not in operating.md");
    }
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let workers = |settings: Result<Settings, String>| settings.unwrap().workers;
    let file = "workers = 2";
    let environment = [("STOCKD_WORKERS", "3")];
    assert_eq!(workers(load(file, &[], &[])), 2);
    assert_eq!(workers(load(file, &environment, &[])), 3);
    assert_eq!(workers(load(file, &environment, &["--workers", "4"])), 4);
    assert_eq!(workers(load("", &[], &["--workers=4"])), 4);
    assert_eq!(workers(load("", &[], &[])), Settings::default().workers);
}

#[test]
fn a_switch_is_on_alone_and_can_be_turned_off_again() {
    let lenient = |settings: Result<Settings, String>| settings.unwrap().lenient;
    assert!(!lenient(load("", &[], &[])));
    assert!(lenient(load("", &[], &["--lenient", "--ephemeral"])));
    assert!(lenient(load("lenient = true", &[], &[])));
    assert!(!lenient(load("lenient = true", &[], &["--lenient=false"])));
}

#[test]
fn a_bad_value_says_where_it_stands_and_what_is_allowed() {
    let why = |file: &str, environment: &[(&str, &str)], flags: &[&str]| {
        load(file, environment, flags).unwrap_err()
    };
    assert_eq!(
        why("\n# many\nworkers = 9999", &[], &[]),
        "stockd.toml:3: '9999' is not possible for workers: write a number from 1 to 1024, or cores"
    );
    assert_eq!(
        why("", &[("STOCKD_LINE", "localhost")], &[]),
        "environment variable STOCKD_LINE: 'localhost' is not possible for line: \
         write IP:PORT such as 127.0.0.1:7878 or [::1]:7878, tls:IP:PORT where TLS is spoken, or \
         unix:PATH, several with commas between, or off"
    );
    assert_eq!(
        why("", &[], &["--lenient=yes"]),
        "--lenient: 'yes' is not possible for lenient: write true or false"
    );
    assert_eq!(
        why("", &[], &["--idle-timeout", "-1"]),
        "--idle-timeout: '-1' is not possible for idle_timeout: \
         write a time such as 500ms, 30s, 5m or 1h, up to 720h, or off"
    );
    // Anything but nothing can be the name of a file or directory.
    let is_path = |setting: &&Setting| ["FILE", "DIR"].contains(&setting.placeholder);
    let others = TABLE.iter().filter(|setting| !is_path(setting));
    for key in others.map(|setting| setting.key) {
        let error = why(&format!("{key} = '?'"), &[], &[]);
        assert!(error.starts_with("stockd.toml:1: '?' is not possible"), "{error}");
        assert!(error.contains(": write "), "{error}");
    }
}

#[test]
fn an_unknown_name_is_an_error_that_names_the_close_ones() {
    let why = |file: &str, environment: &[(&str, &str)]| load(file, environment, &[]).unwrap_err();
    assert_eq!(
        why("line = 'off'\nworker = 2", &[]),
        "stockd.toml:2: unknown setting 'worker'; did you mean workers?"
    );
    let error = why("colour = 1", &[]);
    let all: Vec<_> = TABLE.iter().map(|setting| setting.key).collect();
    assert!(error.ends_with(&format!("there are {}", all.join(", "))), "{error}");
    assert_eq!(
        why("", &[("STOCKD_LINES", "off")]),
        "unknown environment variable 'STOCKD_LINES'; did you mean STOCKD_LINE?"
    );
    assert!(why("", &[("STOCKD_PORT", "7878")]).starts_with("unknown environment variable"));
}

#[test]
fn variables_that_nobody_typed_are_not_typing_errors() {
    let environment = [
        ("STOCKD_CONFIG", "stockd.toml"),
        ("STOCKD_SERVER", "127.0.0.1:7878"),
        ("STOCKD_RESP_SERVER", "127.0.0.1:7879"),
        ("STOCKD_SERVICE_HOST", "10.0.0.11"),
        ("STOCKD_PORT", "tcp://10.0.0.11:7878"),
        ("STOCKD_PORT_7878_TCP_ADDR", "10.0.0.11"),
        ("STOCKD_RESP_SERVICE_HOST", "10.96.0.12"),
        ("STOCKD_RESP_SERVICE_PORT_RESP", "7879"),
        ("STOCKD_RESP_PORT", "tcp://10.96.0.12:7879"),
        ("STOCKD_RESP_PORT_7879_TCP", "tcp://10.96.0.12:7879"),
        ("STOCKD_LINE_PORT_7878_TCP_PROTO", "tcp"),
        ("STOCKD_WORKERS", ""),
        ("STOCKD_NO_SETTING", ""),
        ("PATH", "/bin"),
    ];
    assert_eq!(load("", &environment, &[]), Ok(Settings::default()));
}

#[test]
fn what_is_not_toml_is_an_error_with_its_line() {
    for (file, line) in [("line = off", 1), ("\n[line", 2), ("a\nb", 1), ("log='a'\nlog='b'", 2)] {
        let error = load(file, &[], &[]).unwrap_err();
        assert!(error.starts_with(&format!("stockd.toml:{line}: ")), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let error = load("workers = 1.5", &[], &[]).unwrap_err();
    assert!(error.contains("the value of 'workers' is float"), "{error}");
    assert_eq!(load("connections_max = 10_000", &[], &[]).unwrap().connections_max, 10_000);
}
