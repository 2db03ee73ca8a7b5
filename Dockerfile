# The image of a class: what conjured builds, and what you can build by hand.
#
#   docker buildx build --target system -t my/class \
#     --build-context base=docker-image://debian:trixie \
#     --build-context launcher=environments \
#     --build-context custom=path/to/custom \
#     --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt .
#
# Named contexts: `base` is any Debian-like system with apt and Python 3.11 or newer;
# `launcher` holds launch.sh, which starts programs of an environment; `custom` holds
# apt.txt (it may be empty); `environments` (for the stage latest) is a sealed copy of
# the environment tree. The secret `ca` is only for networks that open HTTPS and may be
# left out: it is there while a step runs and in no layer.
#
# Accounts, srv/ and students' files are never part of an image: a change of them
# builds nothing.

# core: JupyterHub in a prefix of its own, the Lab that every class starts from, and
# what installs conda packages.
FROM base AS core
ENV LANG=C.UTF-8
COPY layers/image/apt.sh layers/image/aptmanifest.py layers/image/python.sh /opt/conjured/lib/
RUN --mount=type=cache,id=conjured-apt,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,id=conjured-apt-lists,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=secret,id=ca \
    sh /opt/conjured/lib/apt.sh core
COPY layers/image/install.sh layers/image/get-uv.py /opt/conjured/lib/
COPY layers/lock/uv.txt layers/lock/hub.txt layers/lock/lab.txt /opt/conjured/lib/lock/
RUN --mount=type=cache,id=conjured-uv,target=/var/cache/uv \
    --mount=type=secret,id=ca \
    sh /opt/conjured/lib/install.sh hub /opt/conjured/hub
RUN --mount=type=cache,id=conjured-uv,target=/var/cache/uv \
    --mount=type=secret,id=ca \
    sh /opt/conjured/lib/install.sh lab /opt/conjured/lab
# What builds environments from conda channels.
COPY layers/image/slim.py /opt/conjured/lib/
COPY layers/lock/rattler.txt /opt/conjured/lib/lock/
RUN --mount=type=cache,id=conjured-uv,target=/var/cache/uv \
    --mount=type=secret,id=ca \
    sh /opt/conjured/lib/install.sh rattler /opt/conjured/rattler && \
    /opt/conjured/rattler/bin/python /opt/conjured/lib/slim.py /opt/conjured/rattler
COPY --chmod=755 layers/image/conda.sh /conda.sh
# Lab asks nobody about news from the internet: there may be none.
COPY layers/image/labconfig.json /etc/jupyter/labconfig/default_setting_overrides.json
COPY --chmod=755 --from=launcher launch.sh /opt/conjured/bin/launch
# The group of the class. A base image may have one with that number already: it is
# renamed then, so that the files of both still belong together.
ARG GROUP_ID=1000
RUN if old=$(getent group "$GROUP_ID"); then \
      [ "${old%%:*}" = conjuring ] || groupmod -n conjuring "${old%%:*}"; \
    else \
      groupadd -g "$GROUP_ID" conjuring; \
    fi && useradd -D -s /bin/bash && mkdir -p /srv/jupyterhub /opt/conjured/env /shared
ENV PATH=/opt/conjured/bin:$PATH
WORKDIR /srv/jupyterhub
EXPOSE 8000
ENTRYPOINT ["/conda.sh", "path_exec"]
CMD ["/opt/conjured/hub/bin/jupyterhub"]

# system: core and the teacher's apt packages. Students' servers run in this one, with
# the environment tree mounted at /opt/conjured/env.
FROM core AS system
RUN --mount=type=bind,from=custom,source=apt.txt,target=/opt/conjured/lib/apt.txt \
    --mount=type=cache,id=conjured-apt,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,id=conjured-apt-lists,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=secret,id=ca \
    sh /opt/conjured/lib/apt.sh /opt/conjured/lib/apt.txt

# latest: complete by itself. `docker run -p 8888:8888 conjuring/conjuring:latest` is a
# Lab with the packages of the class, anywhere.
FROM system AS latest
RUN getent passwd 1000 >/dev/null || useradd -u 1000 -g conjuring -M -d /home/student student; \
    mkdir -p /home/student && chown 1000 /home/student
COPY --from=environments / /opt/conjured/env/
ENV HOME=/home/student JUPYTER_PATH=/opt/conjured/env \
    PATH=/opt/conjured/env/label/base/current/bin:$PATH
USER 1000
WORKDIR /home/student
EXPOSE 8888
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["/opt/conjured/bin/launch", "base@current", "jupyter-lab", "--ip=0.0.0.0", "--port=8888", "--no-browser"]
