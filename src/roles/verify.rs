//! `app verify`: proves that what is stored of documents is what their rows say.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use uuid::Uuid;

use super::{
    Context,
    usable::refuse_wrong_environment,
    wiring::{model, open_db, open_store},
};
use crate::cli::{VerifyArgs, VerifyOutput};
use client::render;
use config::Config;
use domain::{Code, DocumentId, Failure};
use pg::Db;
use pipeline::{Audit, AuditFinding, AuditModel, ScratchDir};

/// Documents that one statement lists.
const PAGE: i64 = 100;

/// Looks at the documents, and prints what does not fit.
///
/// # Errors
///
/// The database cannot be reached or belongs to another environment, or the storage URL cannot be used.
pub async fn run(args: VerifyArgs, ctx: Context) -> anyhow::Result<ExitCode> {
    let db = open_db(&ctx.config)?;
    refuse_wrong_environment(&db, ctx.config.environment).await?;
    let folder = std::env::temp_dir();
    let scratch = ScratchDir::create(&folder)
        .with_context(|| format!("couldn't make a scratch folder in {}", folder.display()))?;
    let model = match load_model(&ctx.config, &db).await {
        Ok(model) => Some(model),
        Err(failure) => {
            anstream::eprintln!("without the model nothing is cut or embedded again: {failure}");
            None
        }
    };
    let audit = Audit { db, store: open_store(&ctx.config.storage)?, model, sample: i64::from(args.sample), scratch };
    let ids = (!args.all).then_some(args.documents.as_slice());
    let (mut after, mut documents, mut findings) = (DocumentId(Uuid::nil()), Vec::new(), 0_usize);
    let mut all = Vec::new();
    loop {
        let page = audit.documents(ids, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.document_id;
        for document in page {
            if ctx.stop.is_cancelled() {
                anyhow::bail!("stopped after {} documents", documents.len());
            }
            documents.push(document.document_id.0);
            let found = audit.look_at(document).await?;
            findings += found.len();
            show(&args, found, &mut all)?;
        }
    }
    let missing = args.documents.iter().filter(|id| !documents.contains(id));
    let missing: Vec<AuditFinding> = missing.map(|id| not_found(*id)).collect();
    findings += missing.len();
    show(&args, missing, &mut all)?;
    let documents = documents.len();
    match args.output {
        VerifyOutput::Json => {
            let sampled = audit.model.is_some();
            render::print_json(&json!({ "documents": documents, "embedded_again": sampled, "findings": all }))?;
        }
        VerifyOutput::Text => {
            let verdict = if findings == 0 { "everything fits".to_owned() } else { format!("{findings} findings") };
            render::print(&format!("{documents} documents looked at: {verdict}\n"))?;
        }
    }
    Ok(if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn load_model(config: &Config, db: &Db) -> Result<AuditModel, Failure> {
    let source = model(config, db);
    Ok(AuditModel { chunker: source.chunker().await?, embedder: source.embedder().await? })
}

/// Text goes out at once: a look at all documents may take hours.
fn show(args: &VerifyArgs, findings: Vec<AuditFinding>, all: &mut Vec<serde_json::Value>) -> anyhow::Result<()> {
    for AuditFinding { document_id, code, message } in findings {
        let fix = code.remedy();
        match args.output {
            VerifyOutput::Text => render::print(&format!("{document_id}  {code}  {message}. {fix}\n"))?,
            VerifyOutput::Json => {
                all.push(
                    json!({ "document_id": document_id.0, "code": code.as_str(), "message": message, "fix": fix }),
                );
            }
        }
    }
    Ok(())
}

fn not_found(id: Uuid) -> AuditFinding {
    let message = "there is no such document in this database".to_owned();
    AuditFinding { document_id: DocumentId(id), code: Code::DocumentNotFound, message }
}
