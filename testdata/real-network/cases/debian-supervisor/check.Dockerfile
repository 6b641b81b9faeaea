# bases: debian
FROM app
RUN crontab -l | grep true && (supervisord -c /etc/supervisor/supervisord.conf; i=0; until [ -e /run/one ]; do i=$((i+1)); [ $i -lt 100 ] || exit 1; sleep 0.2; done; supervisorctl status cron | grep RUNNING || supervisorctl status)
