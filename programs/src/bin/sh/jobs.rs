//! Pipelines in the background: their processes, and how they ended.

use alloc::vec::Vec;

use programs::errno::Errno;
use programs::io::Text;
use programs::process::{self, Ended};
use programs::{eprintln, signal};

/// One pipeline.
struct Job {
    number: usize,
    /// Processes that have not ended.
    running: Vec<i32>,
    /// The last process of the pipeline: its end is the job's.
    last: i32,
    ended: Ended,
    text: Vec<u8>,
}

/// All pipelines in the background.
#[derive(Default)]
pub struct Jobs {
    jobs: Vec<Job>,
    last_pid: Option<i32>,
}

impl Jobs {
    /// `$!`: the last process of the pipeline that was put in the background last.
    pub fn last_pid(&self) -> Option<i32> {
        self.last_pid
    }

    /// Adds a pipeline; gives its number.
    pub fn add(&mut self, pids: Vec<i32>, text: Vec<u8>) -> usize {
        let number = self.jobs.last().map_or(1, |job| job.number + 1);
        let Some(&last) = pids.last() else { return number };
        self.last_pid = Some(last);
        self.jobs.push(Job {
            number,
            running: pids,
            last,
            ended: Ended::Exited(0),
            text,
        });
        number
    }

    /// Notes the end of a process.
    fn note(&mut self, pid: i32, ended: Ended) {
        for job in &mut self.jobs {
            job.running.retain(|&running| running != pid);
            if job.last == pid {
                job.ended = ended;
            }
        }
    }

    /// Collects every process that has ended, also one that is no job's (process 1 inherits them).
    pub fn collect(&mut self) {
        while let Ok(Some((pid, ended))) = process::poll_any() {
            self.note(pid, ended);
        }
    }

    /// Forgets the jobs that have ended, and says so if asked to.
    pub fn report(&mut self, aloud: bool) {
        self.jobs.retain(|job| {
            let done = job.running.is_empty();
            if done && aloud {
                let Job { number, text, .. } = job;
                match job.ended {
                    Ended::Exited(0) => eprintln!("[{number}]  Done        {}", Text(text)),
                    Ended::Exited(status) => eprintln!("[{number}]  Exit {status:<6} {}", Text(text)),
                    Ended::Killed(by) => eprintln!(
                        "[{number}]  {} ({}) {}",
                        signal::words(by),
                        signal::name(by),
                        Text(text)
                    ),
                }
            }
            !done
        });
    }

    /// Prints all jobs that run.
    pub fn list(&self) {
        for job in &self.jobs {
            programs::println!(
                "[{}]  Running     {} (process {})",
                job.number,
                Text(&job.text),
                job.last
            );
        }
    }

    /// Waits for one process, or for all jobs; gives the status, 127 for a process that is none of ours.
    pub fn wait(&mut self, pid: Option<i32>) -> i32 {
        if let Some(job) = self.jobs.iter().find(|job| pid == Some(job.last))
            && job.running.is_empty()
        {
            return job.ended.status();
        }
        loop {
            if pid.is_none() && self.jobs.iter().all(|job| job.running.is_empty()) {
                return 0;
            }
            match process::wait_for(pid.unwrap_or(-1)) {
                Ok((who, ended)) => {
                    self.note(who, ended);
                    if pid == Some(who) {
                        return ended.status();
                    }
                }
                Err(Errno::ECHILD) => return if pid.is_some() { 127 } else { 0 },
                Err(error) => {
                    eprintln!("sh: wait: {error}");
                    return 1;
                }
            }
        }
    }

    /// What a child of the shell knows: nothing.
    pub fn forget(&mut self) {
        self.jobs.clear();
    }
}
