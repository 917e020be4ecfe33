//! The page at `/` is complete, loads files only from its own origin, and cannot run markup from documents or file names.

use std::collections::BTreeMap;

use crate::support::{db::TestDb, fleet::Fleet};

/// Calls that would turn foreign text into markup or code.
const UNSAFE_CALLS: [&str; 6] =
    ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"];

/// The page's modules by path, as the server gives them: the first, and whatever they import.
async fn modules(root: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut wanted = vec!["/dashboard.js".to_owned()];
    while let Some(path) = wanted.pop() {
        if found.contains_key(&path) {
            continue;
        }
        let answer = reqwest::get(format!("{root}{path}")).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], "text/javascript; charset=utf-8", "{path}");
        assert_eq!(answer.headers()["cache-control"], "no-cache", "{path}");
        let text = answer.text().await.unwrap();
        for line in text.lines().filter(|line| line.starts_with("import ")) {
            let name = line.trim_end_matches("\";").rsplit('/').next().unwrap();
            wanted.push(format!("/dashboard/{name}"));
        }
        found.insert(path, text);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_complete_and_runs_only_its_own_files() {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let page = reqwest::get(format!("{}/", client.root)).await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let page = page.text().await.unwrap();
    assert!(page.contains("href=\"dashboard.css") && page.contains("src=\"dashboard.js\" type=\"module\""), "{page}");
    let style = reqwest::get(format!("{}/dashboard.css", client.root)).await.unwrap();
    assert_eq!((style.status().as_u16(), &style.headers()["content-type"].as_bytes()[..8]), (200, &b"text/css"[..]));
    let modules = modules(&client.root).await;
    assert_eq!(modules.len(), 8, "{:?}", modules.keys());
    for (path, text) in &modules {
        for word in UNSAFE_CALLS {
            assert!(!text.contains(word), "{path} contains {word}");
        }
    }
    for inline in ["onclick=", "style=", "javascript:", "<script>", "<style>", "http://", "https://"] {
        assert!(
            !page.contains(inline),
            "the page contains {inline}, which its content security policy refuses or which needs the internet"
        );
    }
    let other = reqwest::get(format!("{}/dashboard/other.js", client.root)).await.unwrap();
    assert_eq!(other.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_calls_only_routes_that_the_api_has() {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let id = "01890000-0000-7000-8000-000000000000";
    let mut asked = 0;
    for script in modules(&client.root).await.values() {
        for (method, template) in calls(script) {
            let path = template.split('?').next().unwrap().split("${query}").next().unwrap();
            let path = path.replace("${what}", "cancel").replace("${page}", "1").replace("${version.version_no}", "1");
            let path = fill(&path, id);
            let (status, body) = client.send(method.parse().unwrap(), &path, None).await;
            let code = body["code"].as_str().unwrap_or_default();
            assert!(!["route_not_found", "method_not_allowed"].contains(&code), "{method} {template}: {status} {code}");
            asked += 1;
        }
    }
    assert!(asked >= 14, "only {asked} calls were found in the scripts");
}

/// Method and path of every `call("METHOD", …)` and `get(…)` of the script.
fn calls(script: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for (at, _) in script.match_indices("call(\"") {
        let mut parts = script[at + "call(\"".len()..].splitn(2, "\", ");
        let (method, rest) = (parts.next().unwrap(), parts.next().unwrap_or_default());
        found.extend(quoted(rest).map(|path| (method, path)));
    }
    for (at, _) in script.match_indices("get(") {
        found.extend(quoted(&script[at + "get(".len()..]).map(|path| ("GET", path)));
    }
    found.into_iter().filter(|(_, path)| path.starts_with('/')).collect()
}

/// The string literal at the start of `rest`.
fn quoted(rest: &str) -> Option<&str> {
    let quote = rest.chars().next().filter(|c| ['"', '`'].contains(c))?;
    rest[1..].split(quote).next()
}

/// The path with each `${…}` replaced by an id.
fn fill(template: &str, id: &str) -> String {
    let mut parts = template.split("${");
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        path.push_str(id);
        path.push_str(part.split_once('}').map_or("", |(_, rest)| rest));
    }
    path
}
