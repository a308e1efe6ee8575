//! STS on loopback, as far as sessions go.

use std::net::SocketAddr;

use shepard_cloud::Clock as _;
use shepard_cloud::ports::WallClock;

use crate::server::{Reply, Request, Server, reply};

/// What no error, Debug or log may repeat.
pub(crate) const SECRET: &str = "canary-secret-51d0";
/// The same.
pub(crate) const TOKEN: &str = "canary-token-7ac2";
/// The code that is accepted.
pub(crate) const CODE: &str = "918273";
/// The device that it is of.
pub(crate) const SERIAL: &str = "arn:aws:iam::123456789012:mfa/me";

/// STS: it gives sessions of an hour, to a role called `guarded` for the code alone, and to one called `forbidden` never.
pub(crate) fn sts(seconds: i64) -> Server {
    Server::start(move |request: &Request, _| answer(request, seconds))
}

fn answer(request: &Request, seconds: i64) -> Reply {
    let has = |part: &str| request.body.contains(part);
    let session = request.header("x-amz-security-token");
    let denied = |words: &str| refused(403, "AccessDenied", words);
    if has("Action=GetCallerIdentity") {
        let arn = match session {
            Some(token) if token.starts_with(TOKEN) => {
                "arn:aws:sts::123456789012:assumed-role/guarded/me".to_owned()
            }
            Some(_) => {
                return refused(403, "ExpiredToken", "The security token included in the request is expired");
            }
            None => "arn:aws:iam::123456789012:user/me".to_owned(),
        };
        return xml(
            "GetCallerIdentity",
            &format!("<Arn>{arn}</Arn><UserId>A</UserId><Account>123456789012</Account>"),
        );
    }
    if has("%2Fforbidden") {
        return denied(
            "User: arn:aws:iam::123456789012:user/me is not authorized to perform: sts:AssumeRole on resource: \
             arn:aws:iam::123456789012:role/forbidden",
        );
    }
    if has("%2Fguarded") && !has("TokenCode=") {
        return denied(
            "User: arn:aws:iam::123456789012:user/me is not authorized to perform: sts:AssumeRole on resource: \
             arn:aws:iam::123456789012:role/guarded",
        );
    }
    if has("TokenCode=") && !has(&format!("TokenCode={CODE}")) {
        return denied("MultiFactorAuthentication failed with invalid MFA one time pass code.");
    }
    let ends = time(WallClock.now_ms() / 1000 + seconds);
    xml(
        "AssumeRole",
        &format!(
            "<AssumedRoleUser><AssumedRoleId>A:me</AssumedRoleId>\
             <Arn>arn:aws:sts::123456789012:assumed-role/guarded/me</Arn></AssumedRoleUser>\
             <Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
             <SessionToken>{TOKEN}</SessionToken><Expiration>{ends}</Expiration></Credentials>"
        ),
    )
}

fn xml(action: &str, inner: &str) -> Reply {
    reply(
        200,
        &format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>{inner}</{action}Result>\
             <ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></{action}Response>"
        ),
    )
    .with("content-type", "text/xml")
}

fn refused(status: u16, code: &str, words: &str) -> Reply {
    reply(
        status,
        &format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
             <Code>{code}</Code><Message>{words}</Message></Error><RequestId>r-1</RequestId></ErrorResponse>"
        ),
    )
    .with("content-type", "text/xml")
}

/// Seconds since the epoch as a time of the services.
pub(crate) fn time(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Howard Hinnant's civil_from_days.
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// A configuration file whose profiles ask a server.
pub(crate) fn profiles(address: SocketAddr) -> String {
    let role = "role_arn = arn:aws:iam::123456789012:role";
    let at = format!("region = eu-west-1\nendpoint_url = http://{address}\n");
    format!(
        "[profile keys]\n{at}aws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = not-a-secret\n\
         [profile device]\n{at}aws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = not-a-secret\nmfa_serial = {SERIAL}\n\
         [profile stale]\n{at}aws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = x\naws_session_token = old\n\
         [profile guarded]\n{at}{role}/guarded\nsource_profile = keys\nmfa_serial = {SERIAL}\n\
         [profile named]\n{at}{role}/guarded\nsource_profile = keys\nmfa_serial = {SERIAL}\n\
         duration_seconds = 7200\nrole_session_name = ünï \"x\"\nexternal_id = a/b\n\
         [profile behind]\n{at}{role}/behind\nsource_profile = guarded\n\
         [profile plain]\n{at}{role}/plain\nsource_profile = keys\n\
         [profile forbidden]\n{at}{role}/forbidden\nsource_profile = keys\n\
         [profile empty]\n{at}"
    )
}
