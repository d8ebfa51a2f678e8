//! The rows of a PostgreSQL database. A thread of its own asks for them, so that whoever looks need not be asynchronous: the
//! judge looks while it holds everything up.

use std::collections::HashMap;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context as _, Result};
use tokio::runtime::Builder;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Statement};

use super::{Changed, Source, Value};

/// A connection beside the stores'. It ends with this.
pub(crate) struct Server {
    questions: mpsc::Sender<Question>,
}

struct Question {
    statement: &'static str,
    values: Vec<i64>,
    answer: mpsc::SyncSender<Result<Vec<Vec<Value>>>>,
}

impl Server {
    pub(crate) fn new(url: String) -> Result<Self> {
        let (questions, asked) = mpsc::channel::<Question>();
        let (started, starts) = mpsc::sync_channel(1);
        thread::Builder::new().name("judge".to_owned()).spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime of one thread");
            let connected = runtime.block_on(tokio_postgres::connect(&url, NoTls));
            let client = match connected {
                Ok((client, connection)) => {
                    runtime.spawn(connection);
                    let _ = started.send(Ok(()));
                    client
                }
                Err(why) => {
                    let _ = started.send(Err(why));
                    return;
                }
            };
            let mut prepared = HashMap::new();
            for question in asked {
                let answer = runtime.block_on(ask(&client, &mut prepared, &question));
                // Whoever asked waits for it.
                let _ = question.answer.send(answer);
            }
        })?;
        starts.recv()?.context("the judge cannot reach the server")?;
        Ok(Self { questions })
    }
}

async fn ask(
    client: &Client,
    prepared: &mut HashMap<&'static str, Statement>,
    question: &Question,
) -> Result<Vec<Vec<Value>>> {
    let text = question.statement;
    if matches!(text, BEGIN | END) {
        client.batch_execute(text).await?;
        return Ok(Vec::new());
    }
    if !prepared.contains_key(text) {
        let types = vec![Type::INT8; question.values.len()];
        let statement = client.prepare_typed(&text.replace('?', "$"), &types).await?;
        prepared.insert(text, statement);
    }
    let values: Vec<&(dyn ToSql + Sync)> = question.values.iter().map(|one| one as _).collect();
    let rows = client.query(&prepared[text], &values).await?;
    rows.iter().map(read).collect()
}

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const END: &str = "COMMIT";

fn read(row: &tokio_postgres::Row) -> Result<Vec<Value>> {
    let column = |place: usize| {
        Ok(match *row.columns()[place].type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(place)?.map(Value::Number),
            _ => row.try_get::<_, Option<String>>(place)?.map(Value::Text),
        }
        .unwrap_or(Value::Null))
    };
    (0..row.len()).map(column).collect()
}

impl Source for Server {
    fn all(&mut self, statement: &'static str, values: &[i64]) -> Result<Vec<Vec<Value>>> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.questions.send(Question { statement, values: values.to_vec(), answer })?;
        answered.recv()?
    }

    fn looks(&mut self) -> Result<Changed> {
        self.all(BEGIN, &[])?;
        Ok(Changed::Perhaps)
    }

    fn looked(&mut self) -> Result<()> {
        self.all(END, &[]).map(drop)
    }
}
