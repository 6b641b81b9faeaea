use super::*;

fn show(direction: Direction, text: &str, env: &Env) -> String {
    match read(direction, text, env) {
        Ok(caches) => {
            let show = |cache: &RemoteCache| {
                let place = match &cache.place {
                    Settings::Registry(reference) => reference.familiar(),
                    Settings::Local(local) => format!("{}:{}", local.folder.display(), local.tag),
                    Settings::Actions(actions) => format!("{} {}", actions.service.url, actions.scope),
                    Settings::S3(bucket) => format!(
                        "{}/{} {:?} {:?} {} {:?}",
                        bucket.bucket.bucket,
                        bucket.prefix,
                        bucket.bucket.region,
                        bucket.names,
                        bucket.bucket.path_style,
                        bucket.bucket.keys.as_ref().map(|keys| &keys.access)
                    ),
                };
                format!("{place} {:?} {}", cache.mode, cache.ignore_error)
            };
            caches.iter().map(show).collect::<Vec<_>>().join(", ")
        }
        Err(error) => {
            let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("{error}{hint}")
        }
    }
}

#[test]
fn values() {
    use Direction::{From, To};
    let rows = [
        (From, "", ""),
        (From, "h:5/a,h:5/b:c", "h:5/a:latest Max true, h:5/b:c Max true"),
        (From, "h:5/a", "h:5/a:latest Max true"),
        (From, "user/app:cache", "user/app:cache Max true"),
        (From, "type=registry,ref=h:5/a:b", "h:5/a:b Max true"),
        (To, "type=registry,ref=h:5/a,mode=min", "h:5/a:latest Min true"),
        (To, "type=registry,ref=h:5/a,MODE=max,ignore-error=false", "h:5/a:latest Max false"),
        (To, "type=registry,ref=h:5/a,oci-mediatypes=true,image-manifest=true", "h:5/a:latest Max true"),
        (To, "type=local,dest=/c", "/c:latest Max true"),
        (To, "type=local,dest=/c,tag=x,mode=min,ignore-error=false", "/c:x Min false"),
        (From, "type=local,src=/c,tag=x", "/c:x Max true"),
        (From, "type=s3,bucket=b,region=r", r#"b/ "r" ["buildkit"] false None Max true"#),
        (From, "type=s3", r#"env-bucket/ "env-region" ["buildkit"] false None Max true"#),
        (To, "type=gha,token=t", ""),
        (To, "type=gha,url_v2=https://h", ""),
        (
            To,
            "type=gha,token=t,url_v2=https://h/,mode=max,timeout=5m,ignore-error=true,version=2",
            "https://h/ buildkit Max true",
        ),
        (
            From,
            "type=gha,token=t,url=https://h/,scope=main,timeout=5m,ghtoken=x,repository=a/b",
            "https://h/ main Max true",
        ),
        (
            To,
            "type=s3,bucket=b,region=r,name=x;y,prefix=p/,use_path_style=true,access_key_id=A,secret_access_key=S,\
             upload_parallelism=2,touch_refresh=12h,blobs_prefix=b/,manifests_prefix=m/,mode=min",
            r#"b/p/ "r" ["x", "y"] true Some("A") Min true"#,
        ),
    ];
    let env = Env::of(&[("AWS_REGION", "env-region"), ("AWS_BUCKET", "env-bucket")]);
    for (direction, text, expected) in rows {
        assert_eq!(show(direction, text, &env), expected, "{text}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    use Direction::{From, To};
    let rows = [
        (To, "type=registry", "no `ref`"),
        (To, "ref=h:5/a", "no `type`"),
        (To, "type=registry,ref=A B", "invalid"),
        (To, "type=registry,ref=h/a,mode=middle", "`min` or `max`"),
        (
            To,
            "type=registry,ref=h:5/a,image-manifest=false",
            "`--cache-to image-manifest=false` is not supported yet; leave it out",
        ),
        (
            To,
            "type=registry,ref=h:5/a,oci-mediatypes=false",
            "`--cache-to oci-mediatypes=false` is not supported yet; leave it out",
        ),
        (To, "type=registry,ref=h:5/a,compression=lz99", "expected `uncompressed`, `gzip` or `zstd`"),
        (To, "type=registry,ref=h:5/a,timeout=soon", "such as `90s`"),
        (
            From,
            "type=registry,ref=h:5/a,mode=min",
            "`--cache-from type=registry` has no attribute `mode`; there are `ref`",
        ),
        (
            To,
            "type=registry,ref=h:5/a,ignore-erro=1",
            "has no attribute `ignore-erro`; did you mean `ignore-error`?",
        ),
        (To, "./cache", "for a folder write `type=local,dest=./cache`"),
        (From, "/cache", "for a folder write `type=local,src=/cache`"),
        (To, "type=local", "it has no `dest`"),
        (To, "type=local,src=/c", "it has no `dest`"),
        (To, "type=local,dest=/etc/passwd", "it is a file"),
        (To, "type=local,dest=/c,tag=a/b", "tag is not valid"),
        (
            From,
            "type=local,src=/c,digest=sha256:0",
            "`--cache-from digest` is not supported yet; leave it out",
        ),
        (To, "type=azblob,name=x", "`--cache-to type=azblob` is not supported yet; `type=registry`"),
        (To, "type=regstry,ref=x", "did you mean `registry`?"),
        (To, "type=magic", "the types are `registry`, `local`, `s3`, `gha`"),
        (
            To,
            "type=gha,version=1",
            "`--cache-to version=1` is not supported yet; version 1 of the cache service",
        ),
        (To, "type=gha,version=3", "the version is 2"),
        (To, "type=gha,token=t,url=file:///x", "no address of HTTP"),
        (To, "type=s3", "it has no `region`"),
        (To, "type=s3,region=r", "it has no `bucket`"),
        (To, "type=s3,region=r,bucket=b,name=a;", "a name is empty"),
        (To, "type=s3,region=r,bucket=b,access_key_id=A", "both `access_key_id` and `secret_access_key`"),
        (To, "type=s3,region=r,bucket=b,upload_parallelism=0", "expected a number from 1 to 64"),
        (To, "type=s3,region=r,bucket=b,endpoint_url=minio", "the endpoint is no address"),
        (To, "type=s3,regoin=r,region=r,bucket=b", "did you mean `region`?"),
    ];
    for (direction, text, problem) in rows {
        let shown = show(direction, text, &Env::default());
        assert!(shown.contains(problem), "{text}: {shown}");
    }
}

#[test]
fn secrets_are_not_shown() {
    for text in [
        "type=s3,access_key_id=HUSH,secret_access_key=HUSH,session_token=HUSH",
        "type=s3,region=r,bucket=b,secret_access_key=HUSH",
        "type=gha,url=x,token=HUSH",
        "type=gha,url=https://x,token=HUSH,ghtoken=HUSH,scop=1",
        "type=s3,region=r,bucket=b,secret_access_key=\"HUSH",
        "type=s3,region=r,bucket=b,access_key_id=HUSH,secret_access_key=HUSH,name=x;,mode=none",
    ] {
        let shown = show(Direction::To, text, &Env::default());
        assert!(!shown.contains("HUSH"), "{shown}");
    }
}

#[test]
fn ways_of_writing() {
    let read = |text: &str| {
        read(Direction::To, &format!("type=local,dest=/c,{text}"), &Env::default()).unwrap().remove(0)
    };
    assert_eq!(read("timeout=90s").budget, CacheBudget::Within(Duration::from_secs(90)));
    assert_eq!(read("timeout=0").budget, CacheBudget::Unlimited);
    assert_eq!(read("mode=max").budget, CacheBudget::Usual);
    assert_eq!(read("keep=7d").keep, Duration::from_hours(7 * 24));
    let compression =
        read("compression=zstd,compression-level=19,force-compression=true").compression.unwrap();
    assert_eq!((compression.level, compression.force), (Some(19), true));
    assert_eq!(read("mode=max").compression, None);
}

#[test]
fn times() {
    for (text, seconds) in [("0", 0), ("15", 15), ("1h30m", 5400), ("30d", 30 * 86400), ("10m", 600)] {
        assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
    }
    for text in ["", "h", "1x", "1.5h", "-1s", "99999999999d", "1h2"] {
        assert_eq!(duration(text), None, "{text}");
    }
}
