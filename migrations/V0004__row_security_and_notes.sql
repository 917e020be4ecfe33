-- Every table is closed by default. `app` connects as the owner, whom row-level security does not bind; the policies
-- that let a Supabase `authenticated` user read its own rows are ensured at every `app migrate`, where that role exists.

ALTER TABLE upload_pipeline.documents         ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.upload_jobs       ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.document_chunks   ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.events            ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.webhook_log       ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.workers           ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.uploads           ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.api_keys          ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.idempotency_keys  ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.storage_deletions ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.housekeeping      ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.environment_stamp ENABLE ROW LEVEL SECURITY;

CREATE OR REPLACE VIEW upload_pipeline.architecture_notes AS
SELECT note.architecture_type, note.description, timestamptz '2026-11-22 00:00:00+00' AS documented_at
FROM (VALUES
  ('direct_write', 'Chunks and vectors go straight to document_chunks; search reads complete documents only.'),
  ('queue', 'upload_jobs is the queue. status is the checkpoint, state says who has the job; a claim writes owner, lease and epoch in one statement.'),
  ('fence', 'Every write of a worker names claimed_by and lease_epoch: a worker that lost its lease changes nothing.'),
  ('wake_up', 'Polling is the truth. A row inserted without enqueued_by notifies the channel upload_jobs by trigger; the API sends one NOTIFY for many.'),
  ('identifiers', 'document_id = UUIDv5 of user_id:file_sha256, chunk_id = UUIDv5 of document_id:chunker:version:ordinal; doing a step twice changes nothing.'),
  ('vectors', 'embedding has no fixed dimension and is null until it is real. Each model that has enough vectors gets a partial HNSW index of its own.'),
  ('full_text', 'tsv is generated from heading and text; search fuses it with the vectors by reciprocal rank.'),
  ('uploads', 'A row in uploads precedes the first byte of an object, so that nothing can be stored that housekeeping would not find.'),
  ('deletion', 'Deleting a document removes its rows at once and queues its stored objects in storage_deletions; the receipt is pending until they are gone.'),
  ('row_security', 'Row-level security is on for every table. A Supabase authenticated user reads its own rows and writes none.')
) AS note (architecture_type, description);

COMMENT ON SCHEMA upload_pipeline IS 'Documents, their processing and their chunks; see the view architecture_notes.';

COMMENT ON TABLE upload_pipeline.documents IS 'One row a content of a user.';
COMMENT ON COLUMN upload_pipeline.documents.document_id IS 'UUIDv5 of user_id:file_sha256.';
COMMENT ON COLUMN upload_pipeline.documents.user_id IS 'The owner.';
COMMENT ON COLUMN upload_pipeline.documents.filename IS 'As the client named it; never a path.';
COMMENT ON COLUMN upload_pipeline.documents.mime IS 'The declared media type.';
COMMENT ON COLUMN upload_pipeline.documents.bytes_len IS 'Size in bytes: declared, and verified by the worker.';
COMMENT ON COLUMN upload_pipeline.documents.file_sha256 IS 'SHA-256 of the bytes, 64 lower-case hex digits; verified by the worker.';
COMMENT ON COLUMN upload_pipeline.documents.parsed_sha256 IS 'SHA-256 of the normalised markdown; null until validated.';
COMMENT ON COLUMN upload_pipeline.documents.raw_path IS 'Key of the uploaded bytes in the object store.';
COMMENT ON COLUMN upload_pipeline.documents.parsed_path IS 'Key of the markdown in the object store; null until parsed.';
COMMENT ON COLUMN upload_pipeline.documents.processing_status IS 'The status of its latest job, written in the same statement.';
COMMENT ON COLUMN upload_pipeline.documents.created_at IS 'When the row was made.';
COMMENT ON COLUMN upload_pipeline.documents.updated_at IS 'When the row last changed.';
COMMENT ON COLUMN upload_pipeline.documents.kind IS 'What the file is by its content: pdf, docx, pptx, xlsx, html, markdown, plain_text; null until parsed.';
COMMENT ON COLUMN upload_pipeline.documents.parser IS 'What parsed it: local or llamaparse; null until parsed.';
COMMENT ON COLUMN upload_pipeline.documents.page_count IS 'Pages, slides or sheets; 0 where the format has none; null until parsed.';

COMMENT ON TABLE upload_pipeline.upload_jobs IS 'The queue, and its history: one row a job.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.job_id IS 'UUIDv7 when made by the API.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.document_id IS 'The document that the job is for.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.status IS 'The checkpoint: how far the document has come.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.state IS 'Who has the job: queued, working, retryable, done, deadletter, cancelled.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.priority IS 'Lower goes first; 0 is ordinary.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.progress IS 'Counts, as an object: pages, chunks, embedded.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.retry_count IS 'Tries that failed since the last checkpoint.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.last_error IS 'The last failure: code, message, class, status, checkpoint, at; and first, the first failure of the job.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.user_id IS 'Owner of the document; filled by trigger where the INSERT has none.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.claimed_by IS 'The worker process that holds the lease; null while nobody does.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.claimed_at IS 'When the lease was last taken.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.lease_expires_at IS 'From then on any worker may take the job over; null on a working job counts as expired.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.lease_epoch IS 'Plus one at each claim and cancel; with claimed_by, the fence of every write.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.step_started_at IS 'When the step in hand began; null while the claim has begun none, so that a takeover charges no try.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.crash_count IS 'Takeovers in the middle of a step; a repeat victim runs alone, then is given up.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.run_at IS 'Not to be claimed before.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.upload_expires_at IS 'Until then the bytes may still come; null where they must be there already.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.enqueued_by IS 'api, or another part of app; null: a foreign INSERT.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.correlation_id IS 'Follows the upload through every process and log line.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.cost_cents IS 'What providers charged for the job, in US cents; local parsers and models charge nothing.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.started_at IS 'When a worker first claimed it.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.finished_at IS 'When it reached a terminal state.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.created_at IS 'When the row was made.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.updated_at IS 'When the row last changed; heartbeats do not count.';

COMMENT ON TABLE upload_pipeline.document_chunks IS 'The passages that search finds.';
COMMENT ON COLUMN upload_pipeline.document_chunks.chunk_id IS 'UUIDv5 of document_id:chunker_name:chunker_version:chunk_ord.';
COMMENT ON COLUMN upload_pipeline.document_chunks.document_id IS 'The document that it is part of.';
COMMENT ON COLUMN upload_pipeline.document_chunks.chunker_name IS 'What cut it.';
COMMENT ON COLUMN upload_pipeline.document_chunks.chunker_version IS 'Which version of that cut it.';
COMMENT ON COLUMN upload_pipeline.document_chunks.chunk_ord IS 'Its place in the document, from 0.';
COMMENT ON COLUMN upload_pipeline.document_chunks.text IS 'The passage, as markdown.';
COMMENT ON COLUMN upload_pipeline.document_chunks.chunk_sha IS 'SHA-256 of heading, a line feed and text, 64 lower-case hex digits.';
COMMENT ON COLUMN upload_pipeline.document_chunks.embed_model IS 'The model of the vector; null until embedded.';
COMMENT ON COLUMN upload_pipeline.document_chunks.embed_version IS 'The version of that model; null until embedded.';
COMMENT ON COLUMN upload_pipeline.document_chunks.vector_dim IS 'Components of the vector; null until embedded.';
COMMENT ON COLUMN upload_pipeline.document_chunks.embedding IS 'The vector, never of zeros; null until embedded.';
COMMENT ON COLUMN upload_pipeline.document_chunks.embed_updated_at IS 'When the vector was written; null until embedded.';
COMMENT ON COLUMN upload_pipeline.document_chunks.created_at IS 'When the row was made.';
COMMENT ON COLUMN upload_pipeline.document_chunks.updated_at IS 'When the row last changed.';
COMMENT ON COLUMN upload_pipeline.document_chunks.heading IS 'The headings above the passage, outermost first, joined by " > ".';
COMMENT ON COLUMN upload_pipeline.document_chunks.page_first IS 'First page it stands on, from 1; null where the format has no pages.';
COMMENT ON COLUMN upload_pipeline.document_chunks.page_last IS 'Last page it stands on.';
COMMENT ON COLUMN upload_pipeline.document_chunks.token_count IS 'Tokens of heading and text for the model, without its special tokens.';
COMMENT ON COLUMN upload_pipeline.document_chunks.tsv IS 'For full-text search: the words of heading and text; headings weigh no more, or they would drown the text.';

COMMENT ON TABLE upload_pipeline.events IS 'The timeline of jobs.';
COMMENT ON COLUMN upload_pipeline.events.event_id IS 'Its id.';
COMMENT ON COLUMN upload_pipeline.events.job_id IS 'The job it happened to.';
COMMENT ON COLUMN upload_pipeline.events.document_id IS 'The document of that job.';
COMMENT ON COLUMN upload_pipeline.events.ts IS 'When.';
COMMENT ON COLUMN upload_pipeline.events.type IS 'What kind of thing: stage_started, stage_done, retry, error, finalized and those that docs/architecture.md lists.';
COMMENT ON COLUMN upload_pipeline.events.severity IS 'info, warn or error.';
COMMENT ON COLUMN upload_pipeline.events.code IS 'The status reached, or the code of the failure.';
COMMENT ON COLUMN upload_pipeline.events.payload IS 'Counts, durations in milliseconds and messages; never document text.';
COMMENT ON COLUMN upload_pipeline.events.correlation_id IS 'The correlation id of the job.';
COMMENT ON COLUMN upload_pipeline.events.seq IS 'Ascending; the order of a job''s events, and the id of a server-sent event.';

COMMENT ON TABLE upload_pipeline.webhook_log IS 'Webhooks that were applied: protection against replay.';
COMMENT ON COLUMN upload_pipeline.webhook_log.webhook_id IS 'The sender''s id of the delivery, or a hash of it.';
COMMENT ON COLUMN upload_pipeline.webhook_log.job_id IS 'The job it was for.';
COMMENT ON COLUMN upload_pipeline.webhook_log.processed_at IS 'When it was applied.';
COMMENT ON COLUMN upload_pipeline.webhook_log.ip_address IS 'Who sent it.';
COMMENT ON COLUMN upload_pipeline.webhook_log.payload_hash IS 'SHA-256 of the body, 64 lower-case hex digits.';

COMMENT ON TABLE upload_pipeline.workers IS 'One row a live worker process.';
COMMENT ON COLUMN upload_pipeline.workers.id IS 'Made at process start; what claimed_by holds.';
COMMENT ON COLUMN upload_pipeline.workers.host IS 'Host name.';
COMMENT ON COLUMN upload_pipeline.workers.commit IS 'The commit that the process was built from.';
COMMENT ON COLUMN upload_pipeline.workers.branch IS 'The branch of that commit.';
COMMENT ON COLUMN upload_pipeline.workers.version IS 'The version of app.';
COMMENT ON COLUMN upload_pipeline.workers.environment IS 'development, staging or production.';
COMMENT ON COLUMN upload_pipeline.workers.started_at IS 'When the process started.';
COMMENT ON COLUMN upload_pipeline.workers.last_seen_at IS 'Its last heartbeat.';
COMMENT ON COLUMN upload_pipeline.workers.running_jobs IS 'Jobs in hand at that heartbeat.';
COMMENT ON COLUMN upload_pipeline.workers.slots IS 'Jobs it can run at once.';

COMMENT ON TABLE upload_pipeline.uploads IS 'Every object that was ever promised a place: written before its first byte.';
COMMENT ON COLUMN upload_pipeline.uploads.upload_id IS 'UUIDv7; the last part of the key.';
COMMENT ON COLUMN upload_pipeline.uploads.user_id IS 'Who uploads.';
COMMENT ON COLUMN upload_pipeline.uploads.storage_key IS 'raw/{user_id}/{upload_id}.';
COMMENT ON COLUMN upload_pipeline.uploads.document_id IS 'The document it became; null until known.';
COMMENT ON COLUMN upload_pipeline.uploads.job_id IS 'The job that waits for it; null until known.';
COMMENT ON COLUMN upload_pipeline.uploads.filename IS 'As the client named it.';
COMMENT ON COLUMN upload_pipeline.uploads.mime IS 'The declared media type.';
COMMENT ON COLUMN upload_pipeline.uploads.bytes_len IS 'Declared, then stored size in bytes; null while unknown.';
COMMENT ON COLUMN upload_pipeline.uploads.file_sha256 IS 'Declared, then computed SHA-256; null while unknown.';
COMMENT ON COLUMN upload_pipeline.uploads.stored_at IS 'When our own PUT stored the bytes; null where an S3 PUT did or none came.';
COMMENT ON COLUMN upload_pipeline.uploads.expires_at IS 'After that an object that no document refers to is removed.';
COMMENT ON COLUMN upload_pipeline.uploads.created_at IS 'When the upload was announced.';

COMMENT ON TABLE upload_pipeline.api_keys IS 'API keys, as hashes.';
COMMENT ON COLUMN upload_pipeline.api_keys.key_id IS 'Its id; not secret.';
COMMENT ON COLUMN upload_pipeline.api_keys.name IS 'What a person calls it.';
COMMENT ON COLUMN upload_pipeline.api_keys.key_sha256 IS 'SHA-256 of the whole key, 64 lower-case hex digits; the key has 256 random bits.';
COMMENT ON COLUMN upload_pipeline.api_keys.user_id IS 'The user it acts for; null: the caller names one in X-User-Id.';
COMMENT ON COLUMN upload_pipeline.api_keys.scopes IS 'read, write (and read), admin (all).';
COMMENT ON COLUMN upload_pipeline.api_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN upload_pipeline.api_keys.expires_at IS 'Refused from then on; null: never.';
COMMENT ON COLUMN upload_pipeline.api_keys.revoked_at IS 'When it was revoked; null: valid.';
COMMENT ON COLUMN upload_pipeline.api_keys.last_used_at IS 'Last use, to the hour.';

COMMENT ON TABLE upload_pipeline.idempotency_keys IS 'Answers to repeat, kept 24 hours.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.user_id IS 'Whose request.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.key IS 'The Idempotency-Key header.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.route IS 'Method and route.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.body_sha256 IS 'SHA-256 of the body; another body with the same key is refused.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.status IS 'HTTP status of the answer; null while the first request runs.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.response IS 'Body of the answer.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.created_at IS 'When the first request came.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.expires_at IS 'Forgotten from then on.';

COMMENT ON TABLE upload_pipeline.storage_deletions IS 'Objects to delete, and the receipt.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.deletion_id IS 'The receipt; one for all objects of a document.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.user_id IS 'Who owned them.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.document_id IS 'The document that is gone.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.storage_key IS 'Key of the object.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.requested_at IS 'When the owner asked.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.delete_at IS 'When the next pass is due.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.passes_left IS 'Two passes, a lease apart: a step that was running may have written after the first.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.deleted_at IS 'When the last pass was done; null: pending.';

COMMENT ON TABLE upload_pipeline.housekeeping IS 'Which chore is due; the worker that moves next_run_at does it.';
COMMENT ON COLUMN upload_pipeline.housekeeping.task IS 'The chore.';
COMMENT ON COLUMN upload_pipeline.housekeeping.next_run_at IS 'Due from then on.';
COMMENT ON COLUMN upload_pipeline.housekeeping.last_run_at IS 'When it was last begun.';

COMMENT ON TABLE upload_pipeline.environment_stamp IS 'The environment that this database belongs to; a process of another refuses to start.';
COMMENT ON COLUMN upload_pipeline.environment_stamp.only_one IS 'Always true: there is one row.';
COMMENT ON COLUMN upload_pipeline.environment_stamp.environment IS 'development, staging or production.';
COMMENT ON COLUMN upload_pipeline.environment_stamp.stamped_at IS 'When it was stamped.';
COMMENT ON COLUMN upload_pipeline.environment_stamp.stamped_by IS 'The version and commit of app that did.';

COMMENT ON COLUMN upload_pipeline.architecture_notes.architecture_type IS 'What the note is about.';
COMMENT ON COLUMN upload_pipeline.architecture_notes.description IS 'The decision.';
COMMENT ON COLUMN upload_pipeline.architecture_notes.documented_at IS 'When it was written.';
