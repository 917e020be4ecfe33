//! Searching in SQL, as a Supabase user does: the hits of `POST /search`, in the same order.

use std::fmt::Write as _;

use domain::UserId;
use search::{Query, VectorCache, search, terms};
use serde_json::{Value, json};
use store::migrations::migrate;
use tokio::runtime::Handle;

use super::{
    OTHER, USER, add, fill,
    vectors::{OneVector, Source},
};
use crate::support::{
    db::{TestDb, target},
    fleet::{self, Fleet},
};

/// How far a score may be off: the last digits of a logarithm.
const TOLERANCE: f64 = 1e-9;

/// A schema with Supabase's roles.
async fn supabase() -> TestDb {
    let test = TestDb::empty().await;
    for role in ["authenticated", "anon"] {
        test.run(&format!(
            "DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        ))
        .await;
    }
    migrate(&target(&test.url), &Handle::current(), "development", None, "test").await.unwrap();
    test
}

/// A hit: its chunk and its score.
type Scored = (String, f64);

/// What a query of two columns, chunk and score, gives to a user who has the rights of `authenticated` alone.
async fn as_user(test: &TestDb, user: &str, query: &str) -> Vec<Scored> {
    let begin =
        format!("BEGIN; SET LOCAL ROLE authenticated; SET LOCAL request.jwt.claims = '{{\"sub\": \"{user}\"}}';");
    let rows = test.rows(&format!("{begin} {query}; COMMIT")).await;
    rows.into_iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect()
}

/// The arguments of the function, as literals.
fn arguments(terms: &Value, vector: Option<&[f32]>) -> String {
    let vector = vector.map_or("NULL".to_owned(), |vector| {
        let numbers: Vec<String> = vector.iter().map(f32::to_string).collect();
        format!("'{{{}}}'::real[]", numbers.join(","))
    });
    format!("'{}'::jsonb, {vector}", terms.to_string().replace('\'', "''"))
}

fn same(found: &[Scored], wanted: &[Scored], what: &str) {
    let shown = |hits: &[Scored]| {
        hits.iter().fold(String::new(), |mut text, (chunk, score)| {
            _ = writeln!(text, "  {chunk} {score}");
            text
        })
    };
    let is_same = found.len() == wanted.len()
        && found.iter().zip(wanted).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < TOLERANCE);
    assert!(is_same, "{what}: in SQL\n{}by the service\n{}", shown(found), shown(wanted));
}

const TEXTS: [(&str, &str); 5] = [
    (
        "lighthouse",
        "# Lighthouse\n\nThe tower is 41 metres high and was built in 1872.\n\n# Lamp\n\nThe lamp turns once in twelve seconds \
         and burns oil.\n\n# Keeper\n\nThe keeper sleeps in the house beside the tower. The spare key hangs behind the stove.",
    ),
    (
        "policy 2018",
        "# Water damage\n\nDamage by water that leaks from pipes is covered up to $1,577.00, error ERR-4012.\n\n# Storm\n\nStorm damage \
         is covered from force eight.\n\n# Exclusions\n\nDamage by war is excluded, and damage by pets.",
    ),
    (
        "policy 2019",
        "# Water damage\n\nDamage by water that leaks from pipes is covered up to $2,000.00.\n\n# Storm\n\nStorm damage is no longer \
         covered at all.\n\n# Exclusions\n\nDamage by war, by pets and by water from the ground is excluded.",
    ),
    (
        "kuendigung",
        "# Kündigung\n\nDie Kündigungsfristen betragen drei Monate, wenn der Vertrag mit der Versicherung nichts anderes sagt.\n\n\
         # Wasser\n\nSchäden durch Leitungswasser sind bis zur Höhe der Versicherungssumme gedeckt, wenn das Haus bewohnt war.",
    ),
    ("contract", "# 合同\n\n这份保险合同涵盖水造成的损失。房屋必须有人居住。\n\n# 终止\n\n合同可以在三个月内终止。"),
];

const QUESTIONS: [&str; 9] = [
    "How often does the lamp turn?",
    "Is damage by water from pipes covered?",
    "ERR-4012",
    "water damage in the policy of 2019",
    "Wie lange ist die Kündigungsfrist?",
    "保险合同 水",
    "exclusions filename:2018",
    "the of and",
    "quantum chromodynamics of gluons",
];

#[tokio::test(flavor = "multi_thread")]
async fn http_the_command_line_and_sql_give_the_same_hits_in_the_same_order() {
    let test = supabase().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let _worker = fleet.worker();
    fleet.set("APP_URL", &client.root);
    fleet.set("APP_TOKEN", &client.token);
    let other = client.as_user(&OTHER.to_string());
    other.upload_text("of another", "# Lamp\n\nThe lamp of another user turns in twelve seconds.").await;
    let mut jobs = Vec::new();
    for (title, text) in TEXTS {
        jobs.push(client.upload_text(title, text).await);
    }
    for job in &jobs {
        assert_eq!(client.wait_for_end(job).await["status"], "complete");
    }
    let mut found_any = 0;
    for question in QUESTIONS {
        for mode in ["hybrid", "text", "vector"] {
            let (status, asked) = client.post("/search/terms", json!({ "query": question, "mode": mode })).await;
            assert_eq!((status, &asked["function"]), (200, &json!("upload_pipeline.search")), "{asked}");
            let vector: Option<Vec<f32>> = serde_json::from_value(asked["vector"].clone()).unwrap();
            assert_eq!(vector.is_some(), mode != "text");
            let arguments = arguments(&asked["terms"], vector.as_deref());
            for (more, body) in [
                ("", json!({})),
                (", min_score => 0, hits => 50", json!({ "min_score": 0, "limit": 50 })),
                (", min_score => 0, per_document => 1", json!({ "min_score": 0, "per_document": 1 })),
            ] {
                let mut request = json!({ "query": question, "mode": mode });
                request.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
                let (_, answer) = client.post("/search", request).await;
                let hits = scored(&answer["hits"]);
                let call = format!("SELECT chunk_id, score FROM upload_pipeline.search({arguments}{more})");
                same(&as_user(&test, fleet::USER, &call).await, &hits, &format!("{question} {mode}{more}"));
                found_any += hits.len();
            }
        }
        let (_, stdout, _) = fleet.run(&["search", "--json", "--limit", "10", question]);
        let of_command: Value = serde_json::from_str(&stdout).unwrap();
        let (_, asked) = client.post("/search/terms", json!({ "query": question })).await;
        let vector: Vec<f32> = serde_json::from_value(asked["vector"].clone()).unwrap();
        let call = format!(
            "SELECT chunk_id, score FROM upload_pipeline.search({})",
            arguments(&asked["terms"], Some(&vector))
        );
        same(&as_user(&test, fleet::USER, &call).await, &scored(&of_command["hits"]), question);
    }
    assert!(found_any > 200, "{found_any}");
    for (query, code) in [("\"burst pipes\"", "query_invalid"), ("pipes -war", "query_invalid"), (" ", "query_empty")] {
        let (status, refused) = client.post("/search/terms", json!({ "query": query })).await;
        assert_eq!((status, &refused["code"]), (422, &json!(code)), "{refused}");
    }
}

fn scored(hits: &Value) -> Vec<Scored> {
    let hits = hits.as_array().unwrap().iter();
    hits.map(|hit| (hit["chunk_id"].as_str().unwrap().to_owned(), hit["score"].as_f64().unwrap())).collect()
}

/// Words of four languages, of which passages are made.
const VOCABULARIES: [(&str, &str); 4] = [
    (
        "report",
        "the house was built near river and every winter water came through door while people slept under old roof",
    ),
    (
        "bericht",
        "das haus wurde am fluss gebaut und jeden winter kam wasser durch die tür während leute unter dem dach schliefen",
    ),
    (
        "rapport",
        "la maison était construite près de la rivière et chaque hiver eau entrait par la porte pendant que les gens dormaient",
    ),
    (
        "informe",
        "la casa fue construida cerca del río y cada invierno el agua entraba por la puerta mientras la gente dormía debajo",
    ),
];

/// Documents of `user` in four languages, with vectors that lie near each other within a language.
async fn many_languages(test: &TestDb, user: UserId) {
    let mut random = fastrand::Rng::with_seed(u64::from(user == OTHER));
    for (place, (name, vocabulary)) in VOCABULARIES.iter().enumerate() {
        let words: Vec<&str> = vocabulary.split(' ').collect();
        for number in 0..6 {
            let passages: Vec<String> = (0..12)
                .map(|_| (0..30).map(|_| words[random.usize(..words.len())]).collect::<Vec<_>>().join(" "))
                .collect();
            let passages: Vec<&str> = passages.iter().map(String::as_str).collect();
            let id = add(test, user, &format!("{name}_{}.md", 2010 + number), &passages).await;
            test.run(&format!(
                "UPDATE upload_pipeline.document_chunks SET embed_model = 'multilingual-e5-small', embed_version = '1', vector_dim = 16,
                   embedding = (
                     SELECT array_agg(1 + random() * 0.3 + CASE WHEN i % 4 = {place} THEN 0.2 ELSE 0 END + chunk_ord * 0 ORDER BY i)
                     FROM generate_series(1, 16) AS i)::real[]::vector
                 WHERE document_id = '{id}'"
            ))
            .await;
        }
    }
}

/// A model whose questions are nearest to English.
fn multilingual() -> Source {
    let vector: Vec<f32> = (1..=16_u8).map(|i| if i % 4 == 0 { 1.4 } else { 1.0 + f32::from(i) / 100.0 }).collect();
    Source(OneVector::named("multilingual-e5-small", &vector))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_several_languages_is_ranked_in_sql_as_by_the_service() {
    let test = supabase().await;
    test.run(
        "SELECT setseed(0.25);
         INSERT INTO upload_pipeline.active_model (model, version, vector_dim) VALUES ('multilingual-e5-small', '1', 16)",
    )
    .await;
    for user in [USER, OTHER] {
        many_languages(&test, user).await;
    }
    fill(&test).await;
    let (source, cache) = (multilingual(), VectorCache::new(1 << 20));
    let mut lifted = 0;
    for question in
        ["winter water", "das haus am fluss", "porte de la maison 2012", "informe 2013", "roof", "report", "xyzzy"]
    {
        for (by_meaning, by_words) in [(true, true), (true, false), (false, true)] {
            let query = Query { limit: 50, min_score: Some(0.0), ..Query::of(USER, question, by_meaning, by_words) };
            let by_service = search(&test.db, &source, &cache, None, query).await.unwrap();
            let wanted: Vec<Scored> =
                by_service.hits.iter().map(|hit| (hit.passage.chunk.chunk_id.to_string(), hit.score)).collect();
            let (terms, vector) = terms(&test.db, &source, &cache, query).await.unwrap();
            let terms = serde_json::to_value(&terms).unwrap();
            lifted += terms["lifts"].as_object().unwrap().values().filter(|lift| lift.as_f64() > Some(0.0)).count();
            let call = format!(
                "SELECT chunk_id, score FROM upload_pipeline.search({}, min_score => 0, hits => 50)",
                arguments(&terms, vector.as_deref())
            );
            let what = format!("{question} {by_meaning} {by_words}");
            same(&as_user(&test, &USER.to_string(), &call).await, &wanted, &what);
        }
    }
    assert!(lifted > 0, "the languages are apart");
}

/// Terms and vector for a user with one document, and a call with them.
async fn one_document() -> (TestDb, Value, Vec<f32>) {
    let test = supabase().await;
    test.run("INSERT INTO upload_pipeline.active_model (model, version, vector_dim) VALUES ('multilingual-e5-small', '1', 16)")
        .await;
    add(&test, USER, "a.md", &["The lamp burns.", "A heron fishes in the sea."]).await;
    add(&test, OTHER, "other.md", &["The lamp of another user burns too."]).await;
    test.run(
        "UPDATE upload_pipeline.document_chunks SET embed_model = 'multilingual-e5-small', embed_version = '1', vector_dim = 16,
           embedding = array_fill(1, ARRAY[16])::real[]::vector",
    )
    .await;
    fill(&test).await;
    let query = Query::of(USER, "Does the lamp burn?", true, true);
    let (terms, vector) = terms(&test.db, &multilingual(), &VectorCache::new(0), query).await.unwrap();
    (test, serde_json::to_value(terms).unwrap(), vector.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_and_an_rpc_find_the_caller_s_documents_only() {
    let (test, terms, vector) = one_document().await;
    let arguments = arguments(&terms, Some(&vector));
    test.run(&format!(
        "CREATE FUNCTION public.search_documents(terms jsonb, vector real[], hits int DEFAULT 10)
         RETURNS TABLE (chunk_id uuid, score double precision, filename text)
         LANGUAGE sql STABLE AS
         'SELECT s.chunk_id, s.score, s.filename FROM upload_pipeline.search($1, $2, hits => $3) AS s';
         CREATE VIEW public.about_lamps WITH (security_invoker = true) AS
         SELECT s.chunk_id, s.score, s.filename FROM upload_pipeline.search({arguments}) AS s;
         GRANT SELECT ON public.about_lamps TO authenticated, anon"
    ))
    .await;
    let of_user = "SELECT s.filename, s.score FROM";
    for (user, filename) in [(USER, "a.md"), (OTHER, "other.md")] {
        let by_view = as_user(&test, &user.to_string(), &format!("{of_user} public.about_lamps AS s LIMIT 1")).await;
        let call = format!("{of_user} public.search_documents({arguments}) AS s LIMIT 1");
        let by_rpc = as_user(&test, &user.to_string(), &call).await;
        assert_eq!((by_view[0].0.as_str(), by_rpc[0].0.as_str()), (filename, filename));
    }
    let stranger = "00000000-0000-0000-0000-000000000009";
    assert!(as_user(&test, stranger, &format!("{of_user} public.about_lamps AS s")).await.is_empty());
    // The owner, whom row-level security does not bind, sees no documents either.
    assert!(test.rows("SELECT * FROM public.about_lamps").await.is_empty());
    let claims = format!("SET LOCAL request.jwt.claims = '{{\"sub\": \"{USER}\"}}'");
    let refusal =
        test.refusal(&format!("BEGIN; SET LOCAL ROLE anon; {claims}; SELECT * FROM public.about_lamps")).await;
    test.run("ROLLBACK").await;
    assert!(refusal.contains("permission denied"), "{refusal}");
    let invokers = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'search%' AND prosecdef";
    assert_eq!(test.value(invokers).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_of_another_model_or_form_and_an_index_that_is_not_filled_are_refused() {
    let (test, terms, vector) = one_document().await;
    let mut other_model = terms.clone();
    other_model["model"]["version"] = json!("2");
    let mut other_form = terms.clone();
    other_form["format"] = json!(2);
    let good = arguments(&terms, Some(&vector));
    for (arguments, says) in [
        (arguments(&other_model, Some(&vector)), "of another model"),
        (arguments(&terms, Some(&vector[..8])), "of another model"),
        (arguments(&terms, None), "do not belong together"),
        (arguments(&other_form, Some(&vector)), "no terms"),
        (arguments(&json!({}), None), "no terms"),
        (arguments(&json!(null), None), "no terms"),
        (format!("{good}, hits => 0"), "from 1 to 50"),
        (format!("{good}, hits => 51"), "from 1 to 50"),
        (format!("{good}, min_score => 1.5"), "from 0 to 1"),
        (format!("{good}, per_document => 0"), "from 1"),
    ] {
        let refusal = test.refusal(&format!("SELECT * FROM upload_pipeline.search({arguments})")).await;
        assert!(refusal.contains(says), "{arguments}: {refusal}");
    }
    test.run("UPDATE upload_pipeline.search_users SET is_filled = false").await;
    let call = format!("SELECT chunk_id, score FROM upload_pipeline.search({good})");
    let begin =
        format!("BEGIN; SET LOCAL ROLE authenticated; SET LOCAL request.jwt.claims = '{{\"sub\": \"{USER}\"}}'");
    let refusal = test.refusal(&format!("{begin}; {call}")).await;
    assert!(refusal.contains("not all of your documents are in the index yet"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_in_plain_text_finds_what_its_words_find() {
    let test = supabase().await;
    add(
        &test,
        USER,
        "lighthouse_2018.md",
        &["The lamp burns oil in the tower.", "A heron fishes in the sea.", "Lamps and lamps."],
    )
    .await;
    let german =
        "Die Kündigungsfristen betragen drei Monate, wenn der Vertrag mit der Versicherung nichts anderes sagt.";
    add(&test, USER, "kuendigung.md", &[german]).await;
    add(&test, OTHER, "other.md", &["The lamp of another user burns oil."]).await;
    fill(&test).await;
    for (question, language) in [
        ("burning lamps", "english"),
        ("What burns in the towers?", "english"),
        ("Kündigungsfrist", "german"),
        ("2018", "english"),
        ("the of", "english"),
        ("*?!", "english"),
    ] {
        let query = Query { min_score: Some(0.0), ..Query::of(USER, question, false, true) };
        let wanted = search(&test.db, &super::NoModel, &VectorCache::new(0), None, query).await.unwrap();
        let wanted: Vec<Scored> =
            wanted.hits.iter().map(|hit| (hit.passage.chunk.chunk_id.to_string(), hit.score)).collect();
        let call =
            format!("SELECT chunk_id, score FROM upload_pipeline.search('{question}', '{language}', min_score => 0)");
        same(&as_user(&test, &USER.to_string(), &call).await, &wanted, question);
    }
    let refusal = test.refusal("SELECT * FROM upload_pipeline.search('lamp', 'klingon')").await;
    assert!(refusal.contains("no base forms"), "{refusal}");
    let refusal = test.refusal("SELECT * FROM upload_pipeline.search(repeat('a', 1001))").await;
    assert!(refusal.contains("longer than 1000"), "{refusal}");
}
