use super::*;

/// `app` and all its visible subcommands, each with its full name.
fn commands(command: &clap::Command, path: &str) -> Vec<(String, clap::Command)> {
    let mut all = vec![(path.to_owned(), command.clone())];
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        all.extend(commands(sub, &format!("{path} {}", sub.get_name())));
    }
    all
}

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_subcommand_says_what_it_is_for_and_gives_an_example() {
    let all = commands(&Cli::command(), "app");
    assert!(all.len() > 15, "{}", all.len());
    for (path, mut command) in all {
        assert!(command.get_about().is_some(), "{path} has no sentence");
        let help = command.render_long_help().to_string();
        // An example is a line that runs this very command, or its parent where it only groups others.
        assert!(
            help.lines().any(|line| line.starts_with("  ") && line.contains(&path)),
            "{path} has no example:\n{help}"
        );
    }
}

#[test]
fn every_option_is_explained() {
    for (path, command) in commands(&Cli::command(), "app") {
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{path} {} is not explained", argument.get_id());
        }
    }
}

#[test]
fn the_child_processes_are_hidden_and_work() {
    assert!(!Cli::command().render_long_help().to_string().contains("-child"));
    assert!(matches!(parse("app picture-child").unwrap().command, Command::PictureChild));
    assert!(matches!(parse("app ocr-child").unwrap().command, Command::OcrChild));
    assert!(matches!(parse("app parse-child").unwrap().command, Command::ParseChild));
}

#[test]
fn jobs_lists_when_no_action_is_named() {
    let Command::Jobs(jobs) = parse("app jobs --state deadletter").unwrap().command else { panic!() };
    assert!(jobs.action.is_none());
    assert_eq!(jobs.list.state, Some(domain::State::Deadletter));
    let Command::Jobs(jobs) = parse("app jobs list --limit 3").unwrap().command else { panic!() };
    assert!(matches!(jobs.action, Some(JobsAction::List(JobsListArgs { limit: 3, .. }))));
}

#[test]
fn a_wrong_state_or_status_is_refused_with_the_known_ones() {
    let refused = parse("app jobs --state broken").unwrap_err().to_string();
    assert!(refused.contains("deadletter"), "{refused}");
    let id = "0192f0c1-7a1e-7c6b-8d8e-2f0a4f2f9f10";
    let refused = parse(&format!("app jobs retry {id} --from nowhere")).unwrap_err().to_string();
    assert!(refused.contains("parse_validated"), "{refused}");
}

#[test]
fn a_retry_names_jobs_or_says_all() {
    let id = "0192f0c1-7a1e-7c6b-8d8e-2f0a4f2f9f10";
    let good = [format!("app jobs retry {id}"), format!("app jobs retry {id} {id} --dry-run")];
    for line in
        good.iter().map(String::as_str).chain(["app jobs retry --all --code file_corrupt --status failed_parse"])
    {
        assert!(parse(line).is_ok(), "{line}");
    }
    let bad = [format!("app jobs retry --all {id}"), format!("app jobs retry {id} --code x")];
    for line in bad.iter().map(String::as_str).chain(["app jobs retry", "app jobs cancel"]) {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn the_last_of_wait_and_no_wait_counts() {
    for (line, no_wait) in
        [("app upload x", false), ("app upload x --wait --no-wait", true), ("app upload x --no-wait --wait", false)]
    {
        let Command::Upload(upload) = parse(line).unwrap().command else { panic!() };
        assert_eq!(upload.no_wait, no_wait, "{line}");
    }
    assert!(parse("app upload x --one-step --two-step").is_err());
    assert!(parse("app upload").is_err());
}

#[test]
fn wrong_arguments_exit_with_2() {
    for line in [
        "app frobnicate",
        "app search",
        "app search --limit 51 x",
        "app migrate --status --dry-run",
        "app migrate --move-stamp prod",
        "app migrate --move-stamp production --dry-run",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}
