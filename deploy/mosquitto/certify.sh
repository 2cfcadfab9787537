#!/bin/sh
# Certificates from an authority of one's own, made at the first call. Keys are for their owner alone.
#   certify.sh FOLDER server broker.example    server.crt and server.key, for a host name or address (chown mosquitto)
#   certify.sh FOLDER pack garage-1            pack-garage-1.crt and pack-garage-1.key
# DAYS=825 says how long they are good for. An authority that is for keeping has its key elsewhere: authority.key
set -eu
umask 077
folder=$1 kind=$2 name=$3 days=${DAYS:-825}
case $name in *[!A-Za-z0-9_.:-]* | "") echo "certify.sh: letters, digits, _ . - in a name: $name" >&2; exit 2 ;; esac
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
mkdir -p "$folder"
cd "$folder"
test -f authority.crt || openssl req -x509 $key -days "$days" -subj "/CN=bmsd authority" \
    -keyout authority.key -out authority.crt
case $kind in
    server)
        file=server
        case $name in *[!0-9.]*) host=DNS ;; *) host=IP ;; esac
        case $name in *:*) host=IP ;; esac
        uses="subjectAltName=$host:$name\nextendedKeyUsage=serverAuth\n" ;;
    pack) file=pack-$name uses="extendedKeyUsage=clientAuth\n" ;;
    *) echo "certify.sh: server or pack, not $kind" >&2; exit 2 ;;
esac
openssl req $key -subj "/CN=$name" -keyout "$file.key" -out "$file.csr"
printf "$uses" > "$file.ext"
openssl x509 -req -in "$file.csr" -CA authority.crt -CAkey authority.key -CAcreateserial -days "$days" \
    -extfile "$file.ext" -out "$file.crt"
rm "$file.csr" "$file.ext"
