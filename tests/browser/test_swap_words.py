"""scratch"""
from __future__ import annotations
import json, os, time
from pathlib import Path
import numpy as np, pytest
from .caller import Caller, Server, until, frames
from tests.tiny.loopback_speech import SpeechServer, in_thread

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(280)]
CLAUSES=("the red boat sails home","seven hungry cats wait outside","winter comes early this year","nobody found the silver key",
"fresh bread smells wonderful","the doctor reads a newspaper","eleven people missed the train","children love chocolate cake","she painted the kitchen yellow","they bought twenty oranges")
TEXT=" ".join(f"{a[0].upper()+a[1:]}, {b}." for a,b in zip(CLAUSES[::2],CLAUSES[1::2]))
P={"british":{"accent":"en-GB","timbres":{"openai_speech":"en-gb"}},
"american":{"accent":"en-US","timbres":{"espeak":"f3","openai_speech":"en-us+f3"}},
"mixed":{"accent":"en-GB","timbres":{"openai_speech":"en-us+f3"}},}

@pytest.fixture(scope="module")
def server(start_server, tmp_path_factory):
    d=tmp_path_factory.mktemp("p")
    for n,v in P.items(): (d/f"{n}.json").write_text(json.dumps({"schema":1,"name":n,**v}))
    with in_thread(SpeechServer()) as s, pytest.MonkeyPatch.context() as m:
        m.setenv("SYNCHRONY_SPEECH_URL", s.url); m.setenv("SYNCHRONY_SPEECH_VOICES", os.environ.get("ORDER","en-gb,en-us+f3"))
        srv=start_server("--personas",str(d))
        yield srv
        print(srv.log()); print("asked",len(s.asked), s.asked[:3])

def choose(c, adapter):
    c.find("adapter").select_option(adapter)
    until(lambda: c.state["config"]["adapter"]==adapter, f"{adapter} ack", 20)

def test_explore(open_page):
    for persona in os.environ.get("WHO","british american mixed").split():
        a,b=open_page(),open_page()
        print(a.page.evaluate("v=>fetch('/config',{method:'PATCH',headers:{'content-type':'application/json'},body:JSON.stringify({voice:v})}).then(r=>r.text())",{"persona":"","timbres":{},**P[persona]})[:300])
        for c in (a,b): c.call()
        choose(b,"openai_speech"); b.page.wait_for_timeout(1500); choose(b,"espeak")
        choose(b,"tone"); choose(b,"espeak")
        for c in (a,b): c.begin_recording(18.0)
        for c in (a,b): c.say(TEXT)
        b.speech("speaking"); b.page.wait_for_timeout(2500)
        choose(b,"openai_speech"); print("at openai", b.state["speech"])
        b.page.wait_for_timeout(6000)
        choose(b,"espeak"); print("at espeak", b.state["speech"])
        for c,n in ((a,"control"),(b,"swap")):
            pcm=c.recorded(); np.save(f"/tmp/words/{os.environ.get('TAG','')}{persona}-{n}.npy",pcm)
            c.speech("idle")
            Path(f"/tmp/words/{os.environ.get('TAG','')}{persona}-{n}.json").write_text(json.dumps(c.records()))
            print(n, [t for t in c.find("notices").inner_text().splitlines()])
            c.hang_up()
    caps=b.page.evaluate("fetch('/capabilities').then(r=>r.json())")
    print(json.dumps(caps["health"])[:1500])
