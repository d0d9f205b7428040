'use strict';

const $ = id => document.getElementById(id);
let tasks = [], picture = null, running = null, address = '';

// say shows what there is to be read out, and an error if there is one. What was answered before is only left where this goes with it.
function say(status, error = '', answered = false) {
	if (!answered) {
		$('said').textContent = '';
		$('result').hidden = true;
	}
	$('status').textContent = status;
	$('error').textContent = error;
}

function task() {
	return tasks.find(t => t.name === $('task').value);
}

function labels() {
	return $('labels').value.split('\n').map(s => s.trim()).filter(s => s);
}

// percent is a probability for people.
function percent(p) {
	return (100 * p).toFixed(p < 0.0995 ? 2 : 1) + ' %';
}

// choose shows what belongs to a task.
function choose() {
	const t = task();
	const plain = t.name === 'clip';
	$('own').hidden = !t.open;
	$('about').textContent = plain ? 'The untouched model, for any classes.' :
		`${t.method}${t.title ? ' on ' + t.title : ''}, ${t.classes.length} classes` + (t.sparsity_percent ? `, ${t.sparsity_percent.toFixed(2)} % of the masked weights are off` : '');
	$('labels-hint').textContent = plain ? 'At least two.' : 'Empty for those that the task was trained on.';
	$('tuned-name').textContent = plain ? 'zero-shot' : t.name;
	ask();
}

// take takes a picture that was chosen, dropped or pasted.
function take(file) {
	if (!file) return;
	picture = file;
	if (address) URL.revokeObjectURL(address);
	address = URL.createObjectURL(file);
	const img = $('picture');
	img.src = address;
	img.alt = 'the picture that is asked about' + (file.name ? ': ' + file.name : '');
	img.onload = () => { img.hidden = false; };
	img.onerror = () => { img.hidden = true; }; // a form that the server may read all the same
	$('drop-text').textContent = file.name || 'pasted picture';
	ask();
}

function base64(file) {
	return new Promise((done, fail) => {
		const r = new FileReader();
		r.onload = () => done(r.result.slice(r.result.indexOf(',') + 1));
		r.onerror = () => fail(r.error);
		r.readAsDataURL(file);
	});
}

// ask asks the server, if there is a question. A question that is not answered yet is given up.
async function ask() {
	if (running) running.abort();
	const t = task(), own = labels();
	if (!picture || !t) return;
	if (t.name === 'clip' && own.length < 2) {
		say('Write at least two classes.');
		return;
	}
	const mine = running = new AbortController();
	say('Looking …', '', true);
	try {
		const body = t.open && own.length ? JSON.stringify({inputs: await base64(picture), parameters: {candidate_labels: own}}) : picture;
		const answer = await fetch('/compare/' + encodeURIComponent(t.name), {method: 'POST', body, signal: mine.signal});
		const said = await answer.json();
		if (mine !== running) return;
		if (!answer.ok) {
			say('', said.error);
			return;
		}
		show(t, said);
	} catch (e) {
		if (e.name === 'AbortError' || mine !== running) return;
		say('', 'The server does not answer: ' + e.message);
	}
}

function cell(kind, p) {
	const td = document.createElement('td'), bar = document.createElement('span');
	td.className = kind;
	td.textContent = percent(p);
	bar.className = 'bar';
	bar.setAttribute('aria-hidden', 'true');
	bar.style.width = 100 * p + '%';
	td.append(bar);
	return td;
}

function show(t, said) {
	const rows = said.tuned.map((s, i) => {
		const tr = document.createElement('tr'), th = document.createElement('th');
		th.scope = 'row';
		th.textContent = s.label;
		tr.className = i ? '' : 'first';
		tr.append(th, cell('tuned', s.score));
		if (t.name !== 'clip') tr.append(cell('plain', said.untouched[i].score));
		return tr;
	});
	$('rows').replaceChildren(...rows);
	document.querySelector('thead .plain').hidden = t.name === 'clip';
	const best = said.tuned[0], plain = said.untouched.reduce((a, b) => b.score > a.score ? b : a);
	$('said').textContent = `${best.label}, ${percent(best.score)}`;
	$('result').hidden = false;
	say(t.name === 'clip' ? 'by the untouched model' : plain.label === best.label ? `The untouched model says ${plain.label} too, ${percent(plain.score)}.` :
		`The untouched model would say ${plain.label}, ${percent(plain.score)}.`, '', true);
}

async function start() {
	$('file').addEventListener('change', e => take(e.target.files[0]));
	$('task').addEventListener('change', choose);
	let timer = 0;
	$('labels').addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(ask, 400); });
	$('ask').addEventListener('submit', e => e.preventDefault());
	let depth = 0; // of elements that a drag has entered
	addEventListener('dragenter', e => { e.preventDefault(); depth++; $('drop').classList.add('over'); });
	addEventListener('dragover', e => e.preventDefault());
	addEventListener('dragleave', () => { if (--depth <= 0) { depth = 0; $('drop').classList.remove('over'); } });
	addEventListener('drop', e => { e.preventDefault(); depth = 0; $('drop').classList.remove('over'); take(e.dataTransfer.files[0]); });
	addEventListener('paste', e => {
		const f = [...e.clipboardData.files].find(f => f.type.startsWith('image/'));
		if (f) { e.preventDefault(); take(f); }
	});
	try {
		tasks = await (await fetch('/tasks')).json();
	} catch (e) {
		say('', 'The server does not answer: ' + e.message);
		return;
	}
	$('task').replaceChildren(...tasks.map(t => new Option(t.name === 'clip' ? 'clip (any classes)' : t.name, t.name)));
	choose();
}

start();
